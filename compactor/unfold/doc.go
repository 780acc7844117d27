// Package unfold brings runs that a manifest lists back into State, for what has to go through a partition from its log
// start on: compaction by key. It is the reverse of a fold.
//
// It goes in steps of bounded size, from the newest object of the manifest to the oldest. A step writes another manifest,
// which lists what stays, and proposes UnfoldRuns: State puts that one in the old one's place and the step's runs, with
// their objects and aborted transactions, in front of those it holds. So a manifest never changes here either, and what
// State says of one is what its object says. The last step writes none.
//
// Readers notice nothing: the objects are the same, and belong to the partition all the time. State judges every step by
// the partition's version, so one that is proposed again, as its answer was lost, or comes behind a fold, a merge or a
// release of somebody else, changes nothing. A crash leaves a partition that is unfolded in part, and maybe a manifest that
// nothing names, as an orphan of its session.
package unfold
