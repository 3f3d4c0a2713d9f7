// Renders a chart as `helm template` does, for machines without helm: Go's own templates with the
// functions of sprig, from Debian's golang-github-masterminds-sprig-dev and
// golang-k8s-sigs-yaml-dev.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run render.go CHART RELEASE [VALUES.yaml…]
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func read(path string) map[string]any {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	out := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &out); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return out
}

// merge lays one table over another, as helm does with files of values.
func merge(below, above map[string]any) {
	for key, value := range above {
		inner, isTable := value.(map[string]any)
		if under, both := below[key].(map[string]any); isTable && both {
			merge(under, inner)
		} else {
			below[key] = value
		}
	}
}

func main() {
	log.SetFlags(0)
	chart, release := os.Args[1], os.Args[2]
	values := read(filepath.Join(chart, "values.yaml"))
	for _, file := range os.Args[3:] {
		merge(values, read(file))
	}
	about := map[string]any{}
	for key, value := range read(filepath.Join(chart, "Chart.yaml")) {
		about[strings.ToUpper(key[:1])+key[1:]] = value
	}

	all := template.New("").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data any) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["toYaml"] = func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all.Funcs(functions)
	base := filepath.Join(filepath.Base(chart), "templates")
	files, _ := filepath.Glob(filepath.Join(chart, "templates", "*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		template.Must(all.New(filepath.Join(base, filepath.Base(file))).Parse(string(text)))
	}
	data := map[string]any{
		"Chart":    about,
		"Release":  map[string]any{"Name": release, "Namespace": "default", "Service": "Helm"},
		"Template": map[string]any{"BasePath": base},
		"Values":   values,
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, filepath.Join(base, name), data); err != nil {
			log.Fatal(err)
		}
		switch text := strings.TrimSpace(out.String()); {
		case text == "":
		case strings.HasSuffix(name, ".txt"):
			fmt.Fprintln(os.Stderr, text)
		default:
			fmt.Printf("---\n# %s\n%s\n", name, text)
		}
	}
}
