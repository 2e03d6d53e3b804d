// Command schedules asks robfig/cron for the answers that api::schedule has to give.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

type answer struct {
	Expr  string   `json:"expr"`
	From  string   `json:"from"`
	OK    bool     `json:"ok"`
	Next  []string `json:"next,omitempty"`
	Error string   `json:"error,omitempty"`
}

type file struct {
	Impl  string   `json:"impl"`
	Cases []answer `json:"cases"`
}

const ticks = 6

var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// zones have clock changes of all kinds: at midnight, of half an hour, in winter, of a whole day.
var zones = []string{
	"America/New_York", "Europe/London", "Europe/Berlin", "Europe/Dublin", "America/Sao_Paulo", "America/Santiago", "Africa/Cairo",
	"Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "Australia/Adelaide", "Australia/Sydney", "Pacific/Auckland", "Pacific/Chatham",
	"America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran", "Asia/Pyongyang", "Pacific/Apia", "Antarctica/Troll",
	"Atlantic/Azores", "Africa/Casablanca", "Asia/Tokyo", "America/Caracas", "UTC",
}

// refused and odd expressions.
var picked = []string{
	"", " ", "*", "* * * *", "* * * * * *", "@daily", "@every 1h", " @daily", "TZ=UTC", "TZ=", "TZ= ", "TZ= 0 9 * * *", "CRON_TZ= 0 9 * * *", "TZ=Nope/Nope 0 9 * * *",
	"TZ=europe/berlin 0 9 * * *", "TZ=Europe/Berlin  0 9 * * *", "TZ=Europe/Berlin\t0 9 * * *", " TZ=Europe/Berlin 0 9 * * *", "tz=Europe/Berlin 0 9 * * *", "TZ=Europe/Berlin @daily",
	"TZ=Europe/Berlin TZ=UTC 0 9 * * *", "CRON_TZ=TZ=UTC 0 9 * * *", "TZ=../UTC 0 9 * * *", "TZ=/UTC 0 9 * * *", "TZ=UTC 0 9 * * *", "TZ=Etc/UTC 0 9 * * *", "TZ=EST5EDT 0 9 * * *", "TZ=US/Eastern 0 9 * * *", "TZ=Etc/GMT+5 0 9 * * *", "TZ=EST 0 9 * * *", "TZ=GMT 0 9 * * *", "TZ=Z 0 9 * * *", "TZ=+01:00 0 9 * * *",
	", * * * *", "* , * * *", "* * , * *", "* * * , *", "* * * * ,", "* * , * ,", "1, * * * *", ",,1 * * * *", "1,,2 * * * *", "- * * * *", "1- * * * *", "-1 * * * *", "1--2 * * * *", "*- * * * *", "*-x * * * *", "*-5-7-9 * * * *", "?-5 * * * *", "** * * * *", "*? * * * *",
	"/ * * * *", "/5 * * * *", "*/ * * * *", "*//5 * * * *", "*/5/5 * * * *", "*/-5 * * * *", "*/+5 * * * *", "*/0 * * * *", "*/00 * * * *", "*/1 * * * *", "*/60 * * * *", "*/9223372036854775807 * * * *", "*/9223372036854775808 * * * *", "*/1.5 * * * *", "*/x * * * *", "*/mon * * * *",
	"59-0 * * * *", "5-5 * * * *", "0-59 * * * *", "0-60 * * * *", "60 * * * *", "+5 * * * *", "05 * * * *", "005 * * * *", "0x5 * * * *", "5.0 * * * *", "1_0 * * * *", "٣ * * * *", "5/15 * * * *", "5-20/15 * * * *", "50/15 * * * *", "5/100 * * * *", "-0 * * * *",
	"0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 L * *", "0 0 15W * *", "0 0 * 0 *", "0 0 * 13 *", "0 0 * jan *", "0 0 * JAN-mar/2 *", "0 0 * january *", "0 0 * sun *", "0 0 * feb,1,DEC *", "0 0 * 11-feb *", "0 0 jan * *", "jan 0 * * *",
	"0 0 * * 7", "0 0 * * 0-7", "0 0 * * sun-sat", "0 0 * * sat-sun", "0 0 * * mon-fri/2", "0 0 * * MON#2", "0 0 * * monday", "0 0 * * jan", "0 0 * * 5L", "0 0 * * sun/2", "0 0 * * 1/2",
	"0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 29 2 *", "0 0 31 * *", "0 0 29 2 */2", "0 0 30 2 ?", "0 0 30 2 0-6", "0 0 30 2 1", "0 0 31 4 ?", "0 0 29 2 ?",
	"0 0 1 * 1", "0 0 */2 * 1", "0 0 1-31 * 1", "0 0 *,1 * 1", "0 0 1,* * 1", "0 0 */1 * 1", "0 0 ?/1 * 1", "0 0 ? * 1", "0 0 1 * ?", "0 0 1 * *,1", "0 0 1 * */2", "0 0 */2 * */2", "0 0 */2 * *", "0 0 * * */2", "0 0 */32 * *", "0 0 */31 * 2", "0 0 13 * 5", "0 0 1 1 1", "59 23 31 12 *", "0 0 28-31 * 0",
	"0 0\u00a09 * *", "0\u30000 9 * *", "0\v0\f9\r*\n*", "0 0 9 * *\x00", "\t0 0 9 * *\n", "0 9 * * * # x", "0\\n9 * * *", "é 0 * * *", "0 9 * * 1\u200b",
}

func main() {
	seed := flag.Uint64("seed", 1, "seed of the random expressions")
	random := flag.Int("random", 600, "number of random expressions")
	flag.Parse()

	out := file{Impl: "github.com/robfig/cron/v3 v3.0.1, NewParser(Minute|Hour|Dom|Month|Dow), times in UTC"}
	for _, expr := range picked {
		out.Cases = append(out.Cases, ask(expr, time.Date(2026, 1, 30, 23, 59, 30, 0, time.UTC)))
		out.Cases = append(out.Cases, ask(expr, time.Date(2027, 12, 31, 23, 0, 0, 0, time.UTC)))
	}
	writer := &writer{Rand: rand.New(rand.NewPCG(*seed, 3))}
	for range *random {
		zone := zones[writer.IntN(len(zones))]
		expr := writer.expression()
		if zone != "UTC" || writer.IntN(3) == 0 {
			expr = writer.one("TZ=", "CRON_TZ=") + zone + " " + expr
		}
		// The original does not come back from some clock changes at midnight.
		moment, answered := writer.moment(zone), make(chan answer, 1)
		go func() { answered <- ask(expr, moment) }()
		select {
		case result := <-answered:
			out.Cases = append(out.Cases, result)
		case <-time.After(5 * time.Second):
			log.Printf("no answer: %q from %s", expr, moment)
		}
	}
	if err := out.write(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// write writes one case a line.
func (f *file) write(to io.Writer) error {
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	fmt.Fprintf(out, "{\"impl\": %q,\n\"cases\": [\n", f.Impl)
	for i, one := range f.Cases {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "]}\n")
	return out.Flush()
}

func ask(expr string, from time.Time) (result answer) {
	result = answer{Expr: expr, From: from.Format(time.RFC3339)}
	defer func() {
		if problem := recover(); problem != nil {
			result.OK, result.Error = false, fmt.Sprint("panic: ", problem)
		}
	}()
	schedule, err := parser.Parse(expr)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.OK = true
	at := from
	for range ticks {
		at = schedule.Next(at)
		if at.IsZero() {
			break
		}
		result.Next = append(result.Next, at.UTC().Format(time.RFC3339))
	}
	return result
}

// writer writes random expressions and moments.
type writer struct{ *rand.Rand }

func (w *writer) one(choices ...string) string { return choices[w.IntN(len(choices))] }

// moment returns a time that is often shortly before a clock change of the zone. Later rules differ between
// versions of the time zone database.
func (w *writer) moment(zone string) time.Time {
	location, err := time.LoadLocation(zone)
	if err != nil {
		log.Fatal(err)
	}
	at := time.Date(2005+w.IntN(14), time.Month(1+w.IntN(12)), 1+w.IntN(28), w.IntN(24), w.IntN(60), w.IntN(60), 0, time.UTC)
	if _, end := at.In(location).ZoneBounds(); !end.IsZero() && w.IntN(4) > 0 {
		at = end.Add(-time.Duration(w.IntN(3*24*3600)) * time.Second)
	}
	return at.UTC().Truncate(time.Second)
}

func (w *writer) expression() string {
	minute := w.field(0, 59, "0", "30", "*/15", "*", "*/20", "0,30", "45")
	hour := w.field(0, 23, "*", "*", "0", "1", "2", "3", "0-3", "23", "*/2", "*/6", "12")
	day := w.field(1, 31, "*", "*", "*", "*", "1", "*/2", "?", "31", "15")
	month := w.field(1, 12, "*", "*", "*", "*", "*", "*/3", "3", "10-11", "oct", "MAR,nov")
	weekday := w.field(0, 6, "*", "*", "*", "*", "0", "sun", "1-5", "?", "*/2", "MON,fri")
	return strings.Join([]string{minute, hour, day, month, weekday}, " ")
}

func (w *writer) field(least, most int, usual ...string) string {
	if w.IntN(10) < 7 {
		return w.one(usual...)
	}
	var parts []string
	for range 1 + w.IntN(3) {
		low := least + w.IntN(most-least+1)
		switch w.IntN(4) {
		case 0, 1:
			parts = append(parts, fmt.Sprint(low))
		case 2:
			parts = append(parts, fmt.Sprintf("%d-%d", low, low+w.IntN(most-low+1)))
		default:
			parts = append(parts, fmt.Sprintf("%d/%d", low, 1+w.IntN(10)))
		}
	}
	return strings.Join(parts, ",")
}
