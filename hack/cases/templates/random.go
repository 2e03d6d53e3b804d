package main

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
)

// writer writes random templates, most of them sensible.
type writer struct {
	*rand.Rand
	fields    []string
	variables []string
	loops     int
	inside    string
	names     int
}

func (w *writer) one(choices ...string) string { return choices[w.IntN(len(choices))] }

func (w *writer) chance(percent int) bool { return w.IntN(100) < percent }

func (w *writer) template(data any) string {
	w.fields = []string{"nope", "x"}
	collect(data, "", &w.fields, 0)
	w.variables, w.loops, w.names = nil, 0, 0
	var text strings.Builder
	for range 1 + w.IntN(4) {
		if w.chance(15) {
			// A template calls only those with later names: endless ones give no answer.
			w.inside = w.one("a", "b", "c")
			fmt.Fprintf(&text, "{{define %q}}%s{{end}}", w.inside, w.apart(func() string { return w.body(2) }))
			w.inside = ""
		}
		text.WriteString(w.node(3))
	}
	out := text.String()
	if w.chance(6) {
		// Damage it.
		at := w.IntN(len(out) + 1)
		out = out[:at] + w.one("{{", "}}", "(", ")", "|", "\"", "`", "{{end}}", "{{else}}", "-", " -}}", ".", "$", ",", "'", "\\", "é") + out[at:]
	}
	return strings.ToValidUTF8(out, "?")
}

// collect lists the paths of the data.
func collect(data any, path string, out *[]string, depth int) {
	object, ok := data.(map[string]any)
	if !ok || depth > 3 {
		return
	}
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if strings.Contains(key, "-") {
			continue
		}
		*out = append(*out, path+key)
		collect(object[key], path+key+".", out, depth+1)
	}
}

// callee returns the name of a template that may be called here.
func (w *writer) callee() string {
	switch w.inside {
	case "":
		return w.one("a", "b", "c")
	case "a":
		return w.one("b", "c")
	case "b":
		return "c"
	}
	return "nope"
}

// apart writes with no variables and loops around.
func (w *writer) apart(write func() string) string {
	variables, loops := w.variables, w.loops
	w.variables, w.loops = nil, 0
	out := write()
	w.variables, w.loops = variables, loops
	return out
}

func (w *writer) scoped(write func() string) string {
	known := len(w.variables)
	out := write()
	w.variables = w.variables[:known]
	return out
}

func (w *writer) body(depth int) string {
	var text strings.Builder
	for range 1 + w.IntN(3) {
		text.WriteString(w.node(depth - 1))
	}
	return text.String()
}

func (w *writer) open() string  { return w.one("{{", "{{", "{{ ", "{{- ") }
func (w *writer) close() string { return w.one("}}", "}}", " }}", " -}}") }

func (w *writer) action(inside string) string { return w.open() + inside + w.close() }

func (w *writer) node(depth int) string {
	choice := w.IntN(20)
	switch {
	case depth <= 0 || choice < 4:
		if w.chance(50) {
			return w.one("x", " text ", "\n", " \t\n ", "é ✓", "{", "}} ", "-", "a b", "")
		}
		return w.action(w.pipe(2))
	case choice < 8:
		return w.action(w.pipe(3))
	case choice < 10:
		return w.declaration()
	case choice < 13:
		return w.scoped(func() string { return w.branch("if", depth) })
	case choice < 15:
		return w.scoped(func() string { return w.branch("with", depth) })
	case choice < 18:
		return w.scoped(func() string { return w.loop(depth) })
	case choice == 18:
		if w.chance(30) {
			w.names++
			return fmt.Sprintf("{{block \"b%d\" %s}}%s{{end}}", w.names, w.pipe(2), w.apart(func() string { return w.body(depth) }))
		}
		if w.chance(60) {
			return fmt.Sprintf("{{template %q %s}}", w.callee(), w.pipe(2))
		}
		return fmt.Sprintf("{{template %q}}", w.callee())
	default:
		return w.one("{{/* c */}}", "{{- /* c */ -}}", "{{break}}", "{{continue}}", "{{if .t}}{{break}}{{end}}", "{{else}}")
	}
}

func (w *writer) declaration() string {
	if len(w.variables) > 0 && w.chance(40) {
		return w.action(w.one(w.variables...) + " = " + w.pipe(2))
	}
	pipe := w.pipe(2)
	name := w.one("$a", "$b", "$c", "$v1")
	w.variables = append(w.variables, name)
	return w.action(name + " := " + pipe)
}

func (w *writer) head(keyword string) string {
	if w.chance(25) {
		pipe := w.pipe(2)
		name := w.one("$a", "$b", "$x")
		w.variables = append(w.variables, name)
		return keyword + " " + name + " := " + pipe
	}
	return keyword + " " + w.pipe(2)
}

func (w *writer) branch(keyword string, depth int) string {
	var text strings.Builder
	text.WriteString(w.action(w.head(keyword)))
	text.WriteString(w.scoped(func() string { return w.body(depth) }))
	for w.chance(25) {
		text.WriteString(w.action("else " + w.head(keyword)))
		text.WriteString(w.scoped(func() string { return w.body(depth) }))
	}
	if w.chance(50) {
		text.WriteString(w.action("else"))
		text.WriteString(w.scoped(func() string { return w.body(depth) }))
	}
	text.WriteString(w.action("end"))
	return text.String()
}

func (w *writer) loop(depth int) string {
	over := w.one(".list", ".nums", ".objs", ".m", ".elist", ".em", ".nope", ".matrix", "3", ".n", ".mixed", ".nested.m", "$.list", ".Payload.labels", ".", w.pipe(2))
	head := "range " + over
	switch w.IntN(6) {
	case 0:
		head = "range $i, $e := " + over
		w.variables = append(w.variables, "$i", "$e")
	case 1:
		head = "range $e := " + over
		w.variables = append(w.variables, "$e")
	case 2:
		if len(w.variables) > 0 {
			head = "range " + w.one(w.variables...) + " = " + over
		}
	}
	w.loops++
	var text strings.Builder
	text.WriteString(w.action(head))
	text.WriteString(w.scoped(func() string {
		out := w.body(depth)
		if w.chance(20) {
			out += w.one("{{break}}", "{{continue}}", "{{if eq . \"b\"}}{{break}}{{end}}", "{{if .}}{{continue}}{{end}}") + w.node(0)
		}
		return out
	}))
	w.loops--
	if w.chance(40) {
		text.WriteString(w.action("else"))
		text.WriteString(w.scoped(func() string { return w.body(depth) }))
	}
	text.WriteString(w.action("end"))
	return text.String()
}

func (w *writer) pipe(depth int) string {
	pipe := w.command(depth)
	for w.chance(18) {
		pipe += w.one(" | ", "|", " |") + w.one("len", "html", "print", "printf \"%v\"", "printf \"%q\"", "not", "index .list", "urlquery",
			"js", "println", "eq 1", "and .t", "or .b", "slice", "printf \"%s-%v\" .s", "lt 2", "printf", "index", "(.m)", "$.s", ".s", "1", "nope")
	}
	return pipe
}

func (w *writer) command(depth int) string {
	if depth <= 0 || w.chance(45) {
		return w.operand(depth)
	}
	function := w.one("print", "printf", "println", "len", "not", "index", "slice", "eq", "ne", "lt", "le", "gt", "ge", "and", "or",
		"html", "js", "urlquery", "eq", "and", "or", "index", "print", "printf", "call")
	count := 1 + w.IntN(3)
	if function == "len" || function == "not" {
		count = 1
	}
	if strings.HasPrefix(function, "l") && function != "len" || strings.HasPrefix(function, "g") || function == "ne" {
		count = 2
	}
	if w.chance(4) {
		count = w.IntN(4)
	}
	out := function
	for i := range count {
		argument := w.operand(depth - 1)
		if i == 0 && w.chance(85) {
			switch function {
			case "printf":
				argument = w.one(`"%v"`, `"%d %s"`, `"%q"`, `"%5v|"`, `"%-6s|"`, `"%x"`, `"%#v"`, `"%+v"`, `"%T"`, `"%t"`, `"%.2f"`, `"%v %v"`, `"%[2]v %[1]v"`, `"%*d"`, "\"plain\"", "`%s\\n`")
			case "index":
				argument = w.one(".list", ".m", ".s", ".objs", ".", "$", ".nested.m", ".matrix", ".mixed", ".Payload", ".uni")
			case "slice":
				argument = w.one(".list", ".s", ".nums", ".uni", ".matrix", "(slice .list 1)")
			}
		}
		if i > 0 && (function == "index" || function == "slice") && w.chance(80) {
			argument = w.one("0", "1", "2", "3", `"k"`, `"z"`, `"name"`, `"nope"`, ".zero", "-1", "nil")
		}
		out += w.one(" ", " ", " ", "  ", "\n") + argument
	}
	return out
}

func (w *writer) operand(depth int) string {
	switch choice := w.IntN(20); {
	case choice < 7:
		return "." + w.one(w.fields...)
	case choice < 8:
		return "$." + w.one(w.fields...)
	case choice < 10 && len(w.variables) > 0:
		return w.one(w.variables...) + w.one("", "", "", ".name", ".k", ".nope")
	case choice < 11:
		return "."
	case choice < 12:
		return w.one("$", "nil", "true", "false", "$undefined")
	case choice < 15:
		return w.one("0", "1", "7", "-3", "1.5", "1e3", "0x1F", "'a'", "017", "0b11", "1_000", "1i", "-0.5", "100000000.0", "1e21", "3.0", "1e-7", "9223372036854775807")
	case choice < 17:
		return w.one(`""`, `"a"`, `"b"`, `"hello"`, `"k"`, `"%v"`, "`raw\\n`", `"é\n"`, `"<&>"`, `"\x41\u00e9"`, `"7"`)
	case depth > 0:
		return "(" + w.pipe(depth-1) + ")" + w.one("", "", "", "", ".k", ".name", ".nope")
	default:
		return ".s"
	}
}
