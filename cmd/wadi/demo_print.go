package main

import (
	"fmt"
	"strconv"
)

func (a *app) printDemo(d demoReport) error {
	if err := a.printf("%s written to %s and read back\n\n", plural(len(d.Records), "record"), d.Topic); err != nil {
		return err
	}
	rows := [][]string{{"PARTITION", "OFFSET", "KEY", "VALUE"}}
	for _, r := range d.Records {
		rows = append(rows, []string{strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.Offset, 10), *r.Key, *r.Value})
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	if len(d.Places) > 0 {
		rows = [][]string{{"PARTITION", "OFFSETS", "WHERE THE BYTES LIE"}}
		for _, p := range d.Places {
			rows = append(rows, []string{strconv.Itoa(int(p.Partition)), fmt.Sprintf("%d to %d", p.Base, p.Last), p.String()})
		}
		if err := a.printSection(rows); err != nil {
			return err
		}
	}
	if len(d.Objects) > 0 {
		rows = [][]string{{"BYTES", "OBJECT"}}
		for _, o := range d.Objects {
			rows = append(rows, []string{strconv.FormatInt(o.Size, 10), o.Key})
		}
		if err := a.printSection(rows); err != nil {
			return err
		}
	}
	for _, n := range d.Notes {
		if err := a.printf("\nnote: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printSection(rows [][]string) error {
	if err := a.printf("\n"); err != nil {
		return err
	}
	return a.printTable(rows)
}
