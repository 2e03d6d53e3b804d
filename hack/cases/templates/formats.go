package main

import "strconv"

// formats combines verbs, flags and arguments of printf.
func formats() []string {
	flags := []string{"", "+", "-", "#", "0", " ", "12", "-12", "012", ".0", ".1", ".3", "12.3", "+012.3", "-12.2", "#.3", "# ", "#+", "+#12", "-012", " 6", "#12", "0.5", "8.0", ".20", ".40"}
	arguments := []string{".n", ".neg", ".zero", ".f", ".f1", ".fz", ".big", ".small", "-0.1", "123456789.0", "1234567.0", "999999.5", "0.00001234", "2.5", ".bigint",
		".s", ".uni", ".empty", ".quote", ".js", `"\xff\x00é\u200b"`, ".t", ".nil", ".list", ".m", ".mixed", ".objs", ".elist", "'é'", "128512", "(index .s 0)", "1i", "1.5e300", "5e-324", "100000.0", "21"}
	var out []string
	for _, verb := range "vTdboOxXcqUeEfFgGsтw!" {
		for _, flag := range flags {
			for _, argument := range arguments {
				out = append(out, `{{printf "%`+flag+string(verb)+`|" `+argument+`}}`)
			}
		}
	}
	for _, format := range []string{
		"%", "%%", "%5%", "%-5%|", "%!", "%z", "%[", "%[1", "%[1]", "%[]d", "%[0]d", "%[2]d", "%[1]d %d", "%[3]d", "%[x]d", "%[1]*d", "%[2]*[1]d", "%[2]*.[1]*f",
		"%*d", "%-*d|", "%.*f", "%*.*f", "%*", "%.", "%.d", "%5.d|", "%1000000d", "%10000001d", "%99999999999d", "%.99999999999d|x", "%[1]5d|", "%[1].5d|", "%d %d %d", "%d",
		"plain", "", "%d%", "%v%", "%+-# 0v", "%v%[1]v", "%s %s", "%é", "%\xc3\xa9", "é%v é", "%[1]v%[1]v", "%[5]*d", "%.[2]*[1]d", "%[1]%", "%.3x", "% x", "% X", "%# x", "%#X", "%+q", "%#q", "%+#q",
		"%t%t", "%w", "%p", "%6.2f%%", "%08b", "%o", "%#o", "%+d", "%x", "%X", "%#x", "%c", "%U", "%#U", "%e", "%G", "%10.3v|", "%-10v|", "%010v|", "%+v", "%#v", "%T", "%q",
	} {
		for _, arguments := range []string{"", " .n", " .s", " 3 5", " 7 .f 2", ` "a" "b"`, " nil", " -5 42", " .list .m", " 2000000 1", " .f .n", " 'x'", " true false"} {
			if format == "%p" {
				continue
			}
			out = append(out, "{{printf "+strconv.Quote(format)+arguments+"}}")
		}
	}
	return out
}
