package test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// deployed reads a file of deploy/.
func deployed(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "deploy", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// loads holds a Caddyfile of deploy/ to what `caddy validate` says, and to a form
// without warnings.
func loads(t *testing.T, caddyfile string) {
	t.Helper()
	if warnings := adaptText(t, caddyfile); len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(harness.Binary(t), "validate", "--config", file)
	command.Dir = folder
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	for _, found := range environment.FindAllStringSubmatch(caddyfile, -1) {
		command.Env = append(command.Env, found[1]+"="+strings.Repeat("secret-of-the-test-", 3))
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("caddy validate: %v\n%s", err, out)
	}
	if !strings.Contains(caddyfile, "admin localhost:2019\n") {
		t.Error("the admin endpoint does not stay on the loopback address")
	}
}

var (
	environment = regexp.MustCompile(`\{env\.(\w+)\}`)
	delays      = regexp.MustCompile(`\t(?:shutdown_delay|grace_period) (\S+)\n`)
)

// stopping is how long a Caddyfile lets a stop take.
func stopping(t *testing.T, caddyfile string) (sum time.Duration) {
	t.Helper()
	found := delays.FindAllStringSubmatch(caddyfile, -1)
	if len(found) != 2 {
		t.Errorf("%d of shutdown_delay and grace_period", len(found))
	}
	for _, line := range found {
		delay, err := time.ParseDuration(line[1])
		if err != nil {
			t.Error(err)
		}
		sum += delay
	}
	return sum
}

func TestDeployedImage(t *testing.T) {
	recipe, caddyfile := deployed(t, "docker/Dockerfile"), deployed(t, "docker/Caddyfile")
	loads(t, caddyfile)
	stopping(t, caddyfile)
	mod, err := os.ReadFile(filepath.Join(harness.Root(), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`caddyserver/caddy/v2 (v\S+)`).FindSubmatch(mod)[1]
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	last := recipe[strings.LastIndex(recipe, "\nFROM "):]
	for text, in := range map[string]string{
		"xcaddy build " + string(release) + " ":                   recipe,
		"FROM golang:" + string(language) + "-":                   recipe,
		"@v0.0.0=.":                                               recipe,
		"\nUSER 65532:65532\n":                                    last,
		"\nVOLUME /data\n":                                        last,
		"ENV XDG_DATA_HOME=/data ":                                last,
		"\nHEALTHCHECK ":                                          last,
		"http://localhost:2019/gatehouse/ready":                   last,
		"COPY deploy/docker/Caddyfile /etc/gatehouse/Caddyfile\n": last,
		`"--config", "/etc/gatehouse/Caddyfile"]`:                 last,
	} {
		if !strings.Contains(in, text) {
			t.Errorf("the recipe lacks %q", text)
		}
	}
}

// TestDeployedUnit reads the unit as systemd does: sections, and keys that may come
// more than once.
func TestDeployedUnit(t *testing.T) {
	unit := make(map[string][]string)
	section := ""
	for line := range strings.Lines(deployed(t, "systemd/gatehouse.service")) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line
		case isKey && section != "":
			unit[section+key] = append(unit[section+key], value)
		default:
			t.Errorf("neither a section nor a key: %s", line)
		}
	}
	const binary, config = "/usr/local/bin/caddy-gatehouse", "--config /etc/gatehouse/Caddyfile"
	for key, want := range map[string]string{
		"[Service]Type":                  "notify",
		"[Service]User":                  "gatehouse",
		"[Service]ExecStartPre":          binary + " validate " + config,
		"[Service]ExecStart":             binary + " run " + config,
		"[Service]ExecReload":            binary + " reload " + config + " --force",
		"[Service]StateDirectory":        "gatehouse",
		"[Service]StateDirectoryMode":    "0700",
		"[Service]Environment":           "XDG_DATA_HOME=/var/lib/gatehouse XDG_CONFIG_HOME=/var/lib/gatehouse",
		"[Service]AmbientCapabilities":   "CAP_NET_BIND_SERVICE",
		"[Service]CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
		"[Service]NoNewPrivileges":       "true",
		"[Service]ProtectSystem":         "strict",
		"[Service]ProtectHome":           "true",
		"[Service]PrivateTmp":            "true",
		"[Service]LimitCORE":             "0",
		"[Install]WantedBy":              "multi-user.target",
	} {
		if got := strings.Join(unit[key], " "); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// A manifest is one object of Kubernetes.
type manifest map[string]any

// at follows a path of names and indexes.
func (m manifest) at(t *testing.T, path string) any {
	t.Helper()
	var value any = map[string]any(m)
	for name := range strings.SplitSeq(path, ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[name]
		case []any:
			value = nil
			if name == "0" && len(inner) > 0 {
				value = inner[0]
			}
		default:
			t.Errorf("%s: there is no %s", path, name)
			return nil
		}
	}
	return value
}

// manifests reads every document of deploy/kubernetes, by kind and name.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	all := make(map[string]manifest)
	for _, file := range []string{"gatehouse.yaml", "redis.yaml", "secrets.yaml"} {
		decoder := yaml.NewDecoder(strings.NewReader(deployed(t, "kubernetes/"+file)))
		for {
			var document map[string]any
			err := decoder.Decode(&document)
			read := manifest(document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			kind, _ := read["kind"].(string)
			name, _ := read.at(t, "metadata.name").(string)
			if kind == "" || name == "" || read["apiVersion"] == nil || all[kind+" "+name] != nil {
				t.Errorf("%s: %q %q", file, kind, name)
			}
			if space := read.at(t, "metadata.namespace"); kind != "Namespace" && space != "gatehouse" {
				t.Errorf("%s %s lies in the namespace %v", kind, name, space)
			}
			all[kind+" "+name] = read
		}
	}
	return all
}

func TestDeployedManifests(t *testing.T) {
	all := manifests(t)
	caddyfile, _ := all["ConfigMap gatehouse"].at(t, "data.Caddyfile").(string)
	loads(t, caddyfile)
	gateway := all["Deployment gatehouse"]
	labels, _ := yaml.Marshal(gateway.at(t, "spec.template.metadata.labels"))
	for _, selector := range []any{
		gateway.at(t, "spec.selector.matchLabels"), all["Service gatehouse"].at(t, "spec.selector"),
		all["PodDisruptionBudget gatehouse"].at(t, "spec.selector.matchLabels"),
		all["NetworkPolicy gatehouse"].at(t, "spec.podSelector.matchLabels"),
	} {
		if text, _ := yaml.Marshal(selector); !bytes.Equal(text, labels) {
			t.Errorf("a selector is %s, and the pods are %s", text, labels)
		}
	}
	const pod, container = "spec.template.spec.", "spec.template.spec.containers.0."
	for path, want := range map[string]any{
		"spec.replicas": 3, "spec.strategy.rollingUpdate.maxUnavailable": 0,
		pod + "securityContext.runAsNonRoot": true, pod + "automountServiceAccountToken": false,
		container + "securityContext.readOnlyRootFilesystem":   true,
		container + "securityContext.allowPrivilegeEscalation": false,
		container + "envFrom.0.secretRef.name":                 "gatehouse",
		container + "livenessProbe.tcpSocket.port":             "http",
	} {
		if got := gateway.at(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if probe, _ := yaml.Marshal(gateway.at(t, container+"readinessProbe.exec.command")); !strings.Contains(string(probe), "http://localhost:2019/gatehouse/ready") {
		t.Errorf("the readiness probe is %s", probe)
	}
	if enough, _ := all["PodDisruptionBudget gatehouse"].at(t, "spec.minAvailable").(int); enough < 1 || enough >= 3 {
		t.Errorf("minAvailable is %d: no node could ever be drained, or all could at once", enough)
	}
	const preStop = 5 * time.Second
	grace, _ := gateway.at(t, pod+"terminationGracePeriodSeconds").(int)
	if needs := preStop + stopping(t, caddyfile); time.Duration(grace)*time.Second <= needs {
		t.Errorf("pods are killed after %ds, and their stop may take %s", grace, needs)
	}
	checkSecrets(t, all, caddyfile)
}

// checkSecrets finds each secret that something names, and none that nobody does.
func checkSecrets(t *testing.T, all map[string]manifest, caddyfile string) {
	t.Helper()
	var wanted []string
	for _, found := range environment.FindAllStringSubmatch(caddyfile, -1) {
		wanted = append(wanted, found[1])
	}
	slices.Sort(wanted)
	secrets, _ := all["Secret gatehouse"].at(t, "stringData").(map[string]any)
	for name, value := range secrets {
		if text, _ := value.(string); !strings.HasPrefix(text, "REPLACE-") {
			t.Errorf("the secret %s looks like a real one", name)
		}
		if !slices.Contains(wanted, name) {
			t.Errorf("nobody uses the secret %s", name)
		}
	}
	if len(secrets) != len(slices.Compact(wanted)) {
		t.Errorf("there are %d secrets, and %v are used", len(secrets), wanted)
	}
	settings, _ := all["ConfigMap redis"].at(t, "data").(map[string]any)
	for _, line := range []string{"appendonly yes\n", "maxmemory-policy noeviction\n"} {
		if text, _ := settings["redis.conf"].(string); !strings.Contains(text, line) {
			t.Errorf("redis.conf lacks %q", line)
		}
	}
	if all["StatefulSet redis"].at(t, "spec.volumeClaimTemplates.0.spec.resources.requests.storage") == nil {
		t.Error("Redis has no disk")
	}
}
