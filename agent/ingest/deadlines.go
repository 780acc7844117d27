package ingest

import "container/heap"

// deadlineHeap orders the requests that are not answered by their deadline.
type deadlineHeap []*Request

func (h *deadlineHeap) add(r *Request) { heap.Push(h, r) }

func (h *deadlineHeap) drop(r *Request) {
	if r.index >= 0 {
		heap.Remove(h, r.index)
	}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].Deadline < h[j].Deadline }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *deadlineHeap) Push(x any) {
	r := x.(*Request)
	r.index = len(*h)
	*h = append(*h, r)
}
func (h *deadlineHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.index = -1
	return r
}
