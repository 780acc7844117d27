package config

import "slices"

// didYouMean is "; did you mean NAME?" for the nearest of names when it is near enough to be meant.
func didYouMean(name string, names []string) string {
	best, nearest := 1+len(name)/4, ""
	for _, n := range names {
		if d := distance(name, n); d <= best && (nearest == "" || d < best) {
			best, nearest = d, n
		}
	}
	if nearest == "" {
		return ""
	}
	return "; did you mean " + nearest + "?"
}

// distance is the number of single-byte insertions, deletions and replacements between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}
