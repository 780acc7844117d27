package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// Values of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

func (a *app) json() bool { return a.output == outputJSON }

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	return json.NewEncoder(a.out).Encode(v)
}

// printf writes text for people. Its callers have looked at json first.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

// printTable writes rows in aligned columns, the first row being the header.
func (a *app) printTable(rows [][]string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	return w.Flush() // the writer keeps the first error for here
}
