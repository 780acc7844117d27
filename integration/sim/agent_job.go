package sim

import (
	"context"

	"wadi/metadata/checkpoint"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// past is a context that has ended: nothing in the simulator waits by a context, and what would is to fail at once.
var past = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// jobStep lets the checkpoint core take an event and carries its effects out.
func (a *agent) jobStep(f func()) {
	f()
	effects := a.jobFx
	a.jobFx = nil
	for _, e := range effects {
		e()
	}
}

// tickJob is what checkpoint.Job does at each tick.
func (a *agent) tickJob() {
	id, _, open := a.sess.Session()
	a.jobStep(func() {
		now := a.mono()
		if !open {
			id = 0
		}
		if a.jobOf != id {
			if a.jobOf != 0 {
				a.job.Lost(now)
				a.steps.Forget()
			}
			if a.jobOf = id; open {
				a.job.Opened(now)
			}
		}
		a.job.Garbage(now, a.view.State().LastLost(), a.instant().Wall)
		a.job.Tick(now)
	})
}

// jobEffects carries out the steps of a checkpoint.
type jobEffects agent

// do runs a step; its answer goes to the core.
func (x *jobEffects) do(name string, step func(s *checkpoint.Steps) (answer func(), err error)) {
	a := (*agent)(x)
	asked := a.jobOf
	a.jobFx = append(a.jobFx, func() {
		a.spawn(func() {
			answer, err := step(a.steps)
			a.w.note("checkpoint agent=%d %s err=%v", a.id, name, err)
			if a.jobOf == asked { // else the core has given the step up
				a.jobStep(answer)
			}
		})
	})
}

func (x *jobEffects) Acquire() {
	x.do("acquire", func(s *checkpoint.Steps) (func(), error) {
		last, err := s.Acquire(past)
		return func() { x.job.Acquired((*agent)(x).mono(), last, err) }, err
	})
}

func (x *jobEffects) Mark(base bool) {
	x.do("mark", func(s *checkpoint.Steps) (func(), error) {
		err := s.Mark(past, base)
		return func() { x.job.Marked((*agent)(x).mono(), err) }, err
	})
}

func (x *jobEffects) Write(last checkpoint.Last) {
	x.do("write", func(s *checkpoint.Steps) (func(), error) {
		w, err := s.Write(past, last)
		return func() { x.job.Wrote((*agent)(x).mono(), w, err) }, err
	})
}

func (x *jobEffects) Point(last checkpoint.Last, next checkpoint.Written) {
	x.do("point", func(s *checkpoint.Steps) (func(), error) {
		if a := (*agent)(x); a.w.chance(3 * a.w.faults.linger) { // what the root names may be garbage by then
			a.w.sleep(a.w.between(0, 2*a.w.grace))
		}
		rev, err := s.Point(past, last, next)
		return func() { x.job.Pointed((*agent)(x).mono(), rev, err) }, err
	})
}

func (x *jobEffects) Record(root *pb.Root) {
	x.do("record", func(s *checkpoint.Steps) (func(), error) {
		err := s.Record(past, root)
		return func() { x.job.Recorded((*agent)(x).mono(), err) }, err
	})
}

func (x *jobEffects) Trim(position int64) {
	x.do("trim", func(s *checkpoint.Steps) (func(), error) {
		more, err := s.Trim(past, position)
		return func() { x.job.Trimmed((*agent)(x).mono(), more, err) }, err
	})
}

func (x *jobEffects) Compact(revision int64) {
	x.do("compact", func(s *checkpoint.Steps) (func(), error) {
		err := s.Compact(past, revision)
		return func() { x.job.Compacted((*agent)(x).mono(), err) }, err
	})
}

func (x *jobEffects) Clean(dropped []*pb.KeptRoot, next checkpoint.Written, sweep bool) {
	x.do("clean", func(s *checkpoint.Steps) (func(), error) {
		if sweep {
			(*agent)(x).ambushed(3)
		}
		again, err := s.Clean(past, dropped, next, sweep)
		return func() { x.job.Cleaned((*agent)(x).mono(), again, err) }, err
	})
}

// jobView is the live State for the steps.
type jobView struct{ a *agent }

func (v jobView) Read(f func(*state.State)) { f(v.a.view.State()) }

func (v jobView) Freeze() *state.State { return v.a.view.State().Freeze() }

func (v jobView) EtcdCluster() uint64 { return v.a.view.EtcdCluster() }
