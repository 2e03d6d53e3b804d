package proc

import "testing"

func TestPidFileRoundTrip(t *testing.T) {
	want := ID{Pid: 4711, Start: 98765, Boot: "b-1"}
	got, err := ParseID(want.String())
	if err != nil || got != want {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestHalfWrittenPidFilesAreRefused(t *testing.T) {
	for _, text := range []string{"", "12", "12 34", "x 34 b", "12 y b", "1 34 b", "0 34 b", "-5 34 b"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q was read as %v", text, id)
		}
	}
}

func TestStatWithParenthesesInTheName(t *testing.T) {
	line := "77 (a) b (c)) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5555 1 1"
	stat, err := parseStat(line)
	if err != nil || stat.State != 'S' || stat.Start != 5555 {
		t.Fatalf("got %+v, %v", stat, err)
	}
}

func TestAReusedPidIsNotOurs(t *testing.T) {
	ours := ID{Pid: 77, Start: 100, Boot: "b"}
	for name, c := range map[string]struct {
		stat Stat
		boot string
		want bool
	}{
		"same process":           {Stat{'S', 100}, "b", true},
		"started later":          {Stat{'S', 101}, "b", false},
		"same time, other boot":  {Stat{'S', 100}, "c", false},
		"zombie nobody waits on": {Stat{'Z', 100}, "b", false},
	} {
		if got := ours.matches(c.stat, c.boot); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
