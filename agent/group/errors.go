package group

import "errors"

// What a request comes to. The protocol edge gives each its Kafka error.
var (
	ErrNotCoordinator       = errors.New("another agent coordinates the group")
	ErrLoading              = errors.New("the group is being loaded")
	ErrInvalidGroup         = errors.New("the group id is empty")
	ErrInvalidTimeout       = errors.New("the session timeout is out of bounds")
	ErrMemberIDRequired     = errors.New("the member must come back with the id it was given") // KIP-394
	ErrUnknownMember        = errors.New("the group has no such member")
	ErrFencedInstance       = errors.New("another member has the instance id")
	ErrIllegalGeneration    = errors.New("not the group's generation")
	ErrRebalanceInProgress  = errors.New("the group rebalances")
	ErrInconsistentProtocol = errors.New("no protocol in common with the group")
	ErrMaxSize              = errors.New("the group is full")
	ErrTooLarge             = errors.New("the group's assignment is too large")
	ErrUnknownGroup         = errors.New("no such group")
	ErrNotEmpty             = errors.New("the group has members")
	ErrStaleEpoch           = errors.New("not the member's epoch")
)
