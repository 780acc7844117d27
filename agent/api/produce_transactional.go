package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// Batches of transactions. Whether a producer's epoch is the one that counts, and its partition in its transaction, State
// judges as it appends them: nothing is asked before. What Apache Kafka's coordinator says of them, these errors say.

var (
	errNoTransactionalID = refuse(kerr.TransactionalIDAuthorizationFailed, "a transactional batch without a transactional id")
	errSeveralProducers  = refuse(kerr.InvalidProducerIDMapping, "the transactional batches of a request must be of one producer id and epoch")
	errAnotherProducer   = refuse(kerr.InvalidProducerIDMapping, "the producer id is not that of the transactional id")
	errEmptyID           = refuse(kerr.InvalidRequest, "the transactional id is empty")
	errNoEpoch           = refuse(kerr.InvalidProducerEpoch, "a transactional batch without an epoch")
)

// transactionalWithoutID reports whether a request has no transactional id, but a batch that says to be of a transaction.
// Then nothing of it is taken.
func transactionalWithoutID(body *kmsg.ProduceRequest) bool {
	if body.TransactionID != nil {
		return false
	}
	for i := range body.Topics {
		for j := range body.Topics[i].Partitions {
			b := batch.Batch(body.Topics[i].Partitions[j].Records)
			if len(b) >= batch.HeaderSize && b.Magic() == 2 && b.Transactional() {
				return true
			}
		}
	}
	return false
}

// inTransaction reports whether a whole batch is of a transaction. One without a producer id is of none, whatever it
// says, and control batches are refused.
func inTransaction(b batch.Batch) bool {
	return b.Transactional() && b.ProducerID() >= 0 && !b.Control()
}

// verify refuses a batch of a transaction whose producer is for certain not that of the request's transactional id. Of
// one that this agent has not heard of yet State knows when it gets there.
func (p *producing) verify(s *state.State, b batch.Batch) error {
	t := s.TxnByProducer(b.ProducerID())
	switch id := *p.body.TransactionID; {
	case id == "":
		return errEmptyID
	case t != nil && t.Name != id:
		return errAnotherProducer
	case b.ProducerEpoch() < 0:
		return errNoEpoch
	}
	return nil
}

// sameProducer reports whether a batch has the producer id and epoch of the first one, which it may be itself.
func sameProducer(first *batch.Batch, b batch.Batch) bool {
	if *first == nil {
		*first = b
	}
	return b.ProducerID() == first.ProducerID() && b.ProducerEpoch() == first.ProducerEpoch()
}

// asVerified words State's verdict on a batch of a transaction as Kafka's coordinator would: it says nothing of the log,
// and has clients of version 11 abort a transaction that a partition was not added to (KIP-890).
func (p *producing) asVerified(err error) error {
	var refused *Refused
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case state.InvalidTxnState:
		if p.req.Version == 11 {
			return refuse(kerr.TransactionAbortable, "the partition was not added to the transaction")
		}
		return refuse(kerr.InvalidTxnState, "the partition was not added to the transaction")
	case state.InvalidProducerEpoch:
		return refuse(kerr.InvalidProducerEpoch, "the epoch is not the producer's")
	case state.UnknownTxn:
		return refuse(kerr.InvalidProducerIDMapping, "no transactional id has this producer id")
	}
	return err
}

// failAll fails every partition of the request.
func (p *producing) failAll(err error) {
	for i := range p.resp.Topics {
		for j := range p.resp.Topics[i].Partitions {
			p.fail(&p.resp.Topics[i].Partitions[j], err)
		}
	}
}
