package sockets_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file of the API anew")

// The packages that users import.
var public = []string{".", "addr", "tcpserver", "udpserver", "client", "simnet"}

// TestAPI compares every exported name, with its type, with a golden file, so that
// the surface never grows, shrinks or changes by accident. After a change that is
// meant: go test -run TestAPI -update .
func TestAPI(t *testing.T) {
	var got []string
	for _, dir := range public {
		got = append(got, exported(t, dir)...)
	}
	golden := filepath.Join("testdata", "api.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(file)), "\n")
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("new:  %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("gone: %s", line)
		}
	}
}

// exported lists the exported names of the package in dir, one in a line.
func exported(t *testing.T, dir string) (lines []string) {
	t.Helper()
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	add := func(nodes ...any) {
		text := pkg.Name + ":"
		for _, n := range nodes {
			text += " " + oneLine(fset, n)
		}
		lines = append(lines, text)
	}
	var files []*ast.File
	promoted := map[string]bool{}
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		promotes(f, promoted)
	}
	for _, f := range files {
		ast.FileExports(f)
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				d.Body = nil
				if r := receiver(d); r == "" || ast.IsExported(r) || promoted[r] {
					add(d)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					addSpec(add, d.Tok, spec)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// promotes notes the unexported types that exported ones embed, as their exported
// methods are then part of the API.
func promotes(f *ast.File, types map[string]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || !ast.IsExported(spec.Name.Name) {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				if len(field.Names) == 0 {
					types[baseName(field.Type)] = true
				}
			}
		}
		return true
	})
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	return baseName(d.Recv.List[0].Type)
}

func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.IndexExpr:
		return baseName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func addSpec(add func(...any), tok token.Token, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			add(tok, name)
		}
	case *ast.TypeSpec:
		structure, ok := s.Type.(*ast.StructType)
		if !ok {
			add(token.TYPE, s)
			return
		}
		add(token.TYPE, s.Name, token.STRUCT)
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				add("field", s.Name, name, field.Type)
			}
			if len(field.Names) == 0 {
				add("embedded", s.Name, field.Type)
			}
		}
	}
}

var space = regexp.MustCompile(`\s+`)

func oneLine(fset *token.FileSet, n any) string {
	if _, ok := n.(ast.Node); !ok {
		return fmt.Sprint(n)
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, n); err != nil {
		return err.Error()
	}
	return space.ReplaceAllString(b.String(), " ")
}

// TestLayers: who may import whom. The root knows addr and internal packages; the
// packages above it know the root and not one another; users get nothing heavy.
func TestLayers(t *testing.T) {
	const module = "example.com/sockets"
	may := map[string][]string{
		".":         {"/addr", "/internal/"},
		"addr":      {},
		"tcpserver": {"", "/addr", "/internal/"},
		"udpserver": {"", "/addr", "/internal/"},
		"client":    {"", "/addr", "/internal/"},
		"simnet":    {"/addr", "/internal/"},
	}
	for dir, allowed := range may {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pkg.Imports {
			rest, ours := strings.CutPrefix(path, module)
			ok := slices.ContainsFunc(allowed, func(a string) bool {
				return rest == a || strings.HasSuffix(a, "/") && strings.HasPrefix(rest, a)
			})
			heavy := path == "net/http" || path == "expvar" || path == "math/rand" || path == "testing"
			if ours && !ok || heavy {
				t.Errorf("%s imports %s", dir, path)
			}
		}
	}
}

// TestQuickstarts: each quickstart in the README is one of the programs that are
// built with the module, and its main has at most nine lines.
func TestQuickstarts(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tcpserver", "udpserver", "tcpclient", "udpclient"} {
		path := filepath.Join("internal", "examples", name, "main.go")
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(program)
		_, body, found := strings.Cut(text, "\nfunc main() {\n")
		if !found {
			t.Fatalf("%s has no main", path)
		}
		_, shown, _ := strings.Cut(text, "\n)\n\n") // behind the imports
		if !strings.Contains(string(readme), strings.TrimSpace(shown)) {
			t.Errorf("the README does not show what %s has behind its imports", path)
		}
		lines := 0
		for line := range strings.Lines(strings.TrimSuffix(body, "}\n")) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if lines > 9 {
			t.Errorf("%s: main has %d lines, more than 9", path, lines)
		}
	}
}
