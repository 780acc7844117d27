package etcd

import "os"

// Wipe removes all data of a stopped server: the next Restart is another etcd at the same address. As etcd derives
// cluster ids from names and a token, the token changes too.
func (s *Server) Wipe() {
	s.t.Helper()
	if s.run != nil {
		s.t.Fatal("etcd still runs")
	}
	if err := os.RemoveAll(s.Dir()); err != nil {
		s.t.Fatal(err)
	}
}

// Backup copies the data of a stopped server; Rollback puts it back.
func (s *Server) Backup() (dir string) {
	s.t.Helper()
	dir = s.t.TempDir()
	s.replace(dir, s.Dir())
	return dir
}

// Rollback replaces the data of a stopped server by a backup's: what was written since is lost, the cluster is the same.
func (s *Server) Rollback(backup string) { s.t.Helper(); s.replace(s.Dir(), backup) }

func (s *Server) replace(dst, src string) {
	s.t.Helper()
	if s.run != nil {
		s.t.Fatal("etcd still runs")
	}
	if err := os.RemoveAll(dst); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(dst, os.DirFS(src)); err != nil {
		s.t.Fatal(err)
	}
}
