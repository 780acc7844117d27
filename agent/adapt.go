package agent

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"wadi/agent/api"
	"wadi/internal/listen"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// apiView names the view's errors in the terms of the protocol edge.
type apiView struct{ *view.View }

func (v apiView) Stand() api.Standing { return v.View.Stand() }

func (v apiView) Barrier(ctx context.Context) error {
	err := v.View.Barrier(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, view.ErrUnreachable):
		return fmt.Errorf("%w: %w", api.ErrMetadataUnavailable, err)
	default:
		return fmt.Errorf("%w: %w", api.ErrViewBehind, err)
	}
}

// Self implements api.Members.
func (m *members) Self() (int32, bool) {
	_, node, open := m.p.session.Current()
	return node, open
}

// members implements api.Members: open sessions of State with a live key.
type members struct {
	p         *parts
	endpoints []listen.Endpoint
}

// Brokers takes the index of a socket; sockets are numbered through the endpoints.
func (m *members) Brokers(socket int) []api.Broker {
	index := 0
	for i, e := range m.endpoints {
		if socket < len(e.Sockets) {
			index = i
			break
		}
		socket -= len(e.Sockets)
	}
	self, _, _ := m.p.session.Current()
	health, _ := m.p.view.Health()
	live := m.p.members.All()
	var all, serving []api.Broker
	m.p.view.Read(func(s *state.State) {
		for id, member := range live {
			v, ok := s.Session(id)
			if !ok || v.Closed != 0 || !serves(member.Info) {
				continue
			}
			e := member.Info.Endpoints[min(index, len(member.Info.Endpoints)-1)]
			b := api.Broker{NodeID: v.NodeID, Host: e.Host, Port: e.Port, Rack: member.Info.Zone}
			all = append(all, b)
			// Cut off from etcd, an agent sends its clients to the others it last knew of.
			if !member.Info.Draining && !(health == view.CutOff && id == self) {
				serving = append(serving, b)
			}
		}
	})
	if len(serving) == 0 {
		serving = all
	}
	sort.Slice(serving, func(i, j int) bool { return serving[i].NodeID < serving[j].NodeID })
	return serving
}
