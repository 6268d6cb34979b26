package seed

import (
	"context"
	"sync"
)

// Pauser pauses calls of this package: [Trainer.Run], [Session.EmbedDataset] and [FillBank]. [WithPause] makes it. Any number
// of goroutines may use it at once.
type Pauser struct {
	parent *Pauser
	paused bool
	calls  map[*cancel]struct{}
}

type pauserKey struct{}

// pausing guards all pausers: a call may belong to several, one inside the other.
var pausing sync.Mutex

// WithPause gives a context whose calls can be paused and resumed; otherwise it is parent. Where parent can be paused too, a
// call waits while one of the two is paused. A paused call waits at its next step, idle, and holds what it holds; its rate
// and ETA leave the pause out. The end of the context ends it at once.
func WithPause(parent context.Context) (context.Context, *Pauser) {
	outer, _ := parent.Value(pauserKey{}).(*Pauser)
	pauser := &Pauser{parent: outer, calls: map[*cancel]struct{}{}}
	return context.WithValue(parent, pauserKey{}, pauser), pauser
}

// Pause asks the calls of the context to wait at their next step. Calls that begin later wait too. It does not wait itself.
func (p *Pauser) Pause() { p.set(true) }

// Resume lets paused calls go on.
func (p *Pauser) Resume() { p.set(false) }

func (p *Pauser) set(paused bool) {
	if p == nil {
		return
	}
	pausing.Lock()
	defer pausing.Unlock()
	p.paused = paused
	for call := range p.calls {
		call.follow()
	}
}

// add lets a call follow the pauser, if there is one, and those around it.
func (p *Pauser) add(call *cancel) {
	if p == nil {
		return
	}
	pausing.Lock()
	defer pausing.Unlock()
	for around := p; around != nil; around = around.parent {
		around.calls[call] = struct{}{}
	}
	call.follow()
}

func (p *Pauser) remove(call *cancel) {
	pausing.Lock()
	defer pausing.Unlock()
	for around := p; around != nil; around = around.parent {
		delete(around.calls, call)
	}
}

// follow pauses the call where one of its pausers is paused. The mutex is held, so calls see changes in their order.
func (c *cancel) follow() {
	for around := c.pauser; around != nil; around = around.parent {
		if around.paused {
			c.pause()
			return
		}
	}
	c.resume()
}
