// Command templates asks text/template for the answers that api::template has to give.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/template"
)

// item is the spawner's template data.
type item = struct {
	ID             string
	Number         int
	Title          string
	Body           string
	URL            string
	Labels         string
	Comments       string
	Kind           string
	Branch         string
	ReviewState    string
	ReviewComments string
	Time           string
	Schedule       string
}

type answer struct {
	Name       string `json:"name"`
	Template   string `json:"template"`
	Root       string `json:"root"`
	MissingKey string `json:"missingkey"`
	Dataset    string `json:"dataset"`
	OK         bool   `json:"ok"`
	Output     string `json:"output,omitempty"`
	Stage      string `json:"stage,omitempty"`
	Error      string `json:"error,omitempty"`
	Tier       string `json:"tier"`
}

type file struct {
	Go       string         `json:"go"`
	Datasets map[string]any `json:"datasets"`
	Cases    []answer       `json:"cases"`
}

// limited keeps a case small.
type limited struct{ strings.Builder }

var errTooLong = errors.New("too long")

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > 20_000 {
		return 0, errTooLong
	}
	return l.Builder.Write(p)
}

func main() {
	data := flag.String("data", "", "file with the datasets")
	seed := flag.Uint64("seed", 1, "seed of the random templates")
	random := flag.Int("random", 400, "number of random templates")
	all := flag.Bool("all", false, "all combinations of printf, not a choice of them")
	flag.Parse()

	raw, err := os.ReadFile(*data)
	if err != nil {
		log.Fatal(err)
	}
	var known file
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&known); err != nil {
		log.Fatal(err)
	}

	out := file{Go: runtime.Version(), Datasets: known.Datasets}
	add := func(name, tier, text, root, missingKey, dataset string) {
		result := answer{Name: name, Template: text, Root: root, MissingKey: missingKey, Dataset: dataset, Tier: tier}
		if result.ask(rootOf(root, known.Datasets[dataset])) {
			out.Cases = append(out.Cases, result)
		}
	}

	for i, text := range picked {
		add(fmt.Sprintf("picked-%03d", i), "extended", text, "map", "default", "d01")
	}
	for i, text := range pickedDeps {
		for _, missingKey := range []string{"default", "zero", "error"} {
			add(fmt.Sprintf("deps-%03d-%s", i, missingKey), "core", text, "deps", missingKey, "d05")
		}
	}
	for i, text := range pickedItems {
		for _, dataset := range []string{"d02", "d03", "d04"} {
			add(fmt.Sprintf("item-%03d-%s", i, dataset), "core", text, "workitem", "default", dataset)
		}
	}
	for i, text := range pickedRoots {
		for _, dataset := range []string{"d07", "d08", "d09", "d10", "d11", "d12"} {
			add(fmt.Sprintf("root-%03d-%s", i, dataset), "extended", text, "map", "default", dataset)
		}
		add(fmt.Sprintf("root-%03d-error", i), "extended", text, "map", "error", "d07")
	}
	for i, text := range pickedMissing {
		for _, missingKey := range []string{"default", "zero", "error"} {
			add(fmt.Sprintf("missing-%03d-%s", i, missingKey), "core", text, "map", missingKey, "d01")
		}
	}
	printfs := formats()
	choose := rand.New(rand.NewPCG(1, 1))
	if !*all {
		choose.Shuffle(len(printfs), func(i, j int) { printfs[i], printfs[j] = printfs[j], printfs[i] })
		printfs = printfs[:300]
	}
	for i, text := range printfs {
		add(fmt.Sprintf("printf-%05d", i), "extended", text, "map", "default", "d01")
	}
	writer := &writer{Rand: rand.New(rand.NewPCG(*seed, 2))}
	for i := range *random {
		root, dataset := "map", writer.one("d01", "d01", "d01", "d01", "d05", "d06", "d06", "d02", "d03")
		switch dataset {
		case "d02", "d03":
			root = "workitem"
		case "d05":
			root = "deps"
		}
		missingKey := writer.one("default", "default", "zero", "error")
		text := writer.template(known.Datasets[dataset])
		add(fmt.Sprintf("random-%d-%05d", *seed, i), "extended", text, root, missingKey, dataset)
	}
	if err := out.write(os.Stdout, !*all); err != nil {
		log.Fatal(err)
	}
}

// write writes one case a line; short leaves out the long ones.
func (f *file) write(to io.Writer, short bool) error {
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	fmt.Fprintf(out, "{\"go\": %q,\n\"datasets\": ", f.Go)
	if err := encoder.Encode(f.Datasets); err != nil {
		return err
	}
	fmt.Fprint(out, ",\"cases\": [\n")
	first := true
	for _, one := range f.Cases {
		if short && len(one.Template)+len(one.Output)+len(one.Error) > 600 {
			continue
		}
		if !first {
			fmt.Fprint(out, ",")
		}
		first = false
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "]}\n")
	return out.Flush()
}

// ask fills in Go's answer; false if the case is not worth keeping.
func (a *answer) ask(data any) bool {
	parsed, err := template.New("t").Option("missingkey=" + a.MissingKey).Parse(a.Template)
	if err != nil {
		a.Stage, a.Error = "parse", err.Error()
		return true
	}
	var out limited
	if err := parsed.Execute(&out, data); err != nil {
		a.Stage, a.Error = "exec", err.Error()
		return !errors.Is(err, errTooLong) && !strings.Contains(err.Error(), "maximum template depth")
	}
	a.OK, a.Output = true, out.String()
	return !strings.Contains(a.Output, "0xc0")
}

// plain turns json.Number into int or float64.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if integer, err := strconv.Atoi(value.String()); err == nil {
			return integer
		}
		float, err := value.Float64()
		if err != nil {
			log.Fatal(err)
		}
		return float
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = plain(element)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for key, element := range value {
			object[key] = plain(element)
		}
		return object
	}
	return value
}

func rootOf(kind string, data any) any {
	switch kind {
	case "workitem":
		raw, err := json.Marshal(data)
		if err != nil {
			log.Fatal(err)
		}
		var root item
		if err := json.Unmarshal(raw, &root); err != nil {
			log.Fatal(err)
		}
		return root
	case "deps":
		dependencies := map[string]any{}
		for name, dependency := range data.(map[string]any)["Deps"].(map[string]any) {
			fields := dependency.(map[string]any)
			lines, results := []string{}, map[string]string{}
			if list, ok := fields["Outputs"].([]any); ok {
				for _, line := range list {
					lines = append(lines, line.(string))
				}
			}
			if object, ok := fields["Results"].(map[string]any); ok {
				for key, value := range object {
					results[key] = value.(string)
				}
			}
			lines = lines[:len(lines):len(lines)]
			dependencies[name] = map[string]any{"Outputs": lines, "Results": results, "Name": name}
		}
		return map[string]any{"Deps": dependencies}
	}
	return plain(data)
}
