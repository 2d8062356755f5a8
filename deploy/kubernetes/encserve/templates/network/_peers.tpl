{{- define "encserve.monitoringPeer" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .Values.network.monitoringNamespace }}
{{- end }}

{{- define "encserve.dns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{/* The Services that a route shares its requests among: this release's and, with a weight, a canary's. */}}
{{- define "encserve.backends" -}}
{{- $canary := .root.Values.route.canary }}
- name: {{ include "encserve.name" . }}
  port: {{ .port }}
  weight: {{ sub 100 $canary.weight }}
{{- if eq $canary.release .root.Release.Name }}
{{- fail (printf "route.canary.release is %s, the release that gives the share away: name the other" $canary.release) }}
{{- else if $canary.release }}
- name: {{ printf "%s-%s" (trunc 40 $canary.release | trimSuffix "-") .part }}
  port: {{ .port }}
  weight: {{ $canary.weight }}
{{- else if $canary.weight }}
{{- fail (printf "route.canary.weight is %v, and route.canary.release names no release to which that would go" $canary.weight) }}
{{- end }}
{{- end }}

{{- define "encserve.routeSpec" -}}
{{- $http := .root.Values.route.http }}
{{- $grpc := .root.Values.route.grpc }}
{{- if and $http.enabled $grpc.enabled }}
{{- if or (not $http.hostnames) (not $grpc.hostnames) }}
{{- fail "route.http and route.grpc need hostnames of their own: a Gateway accepts one of two routes that share one" }}
{{- end }}
{{- range $http.hostnames }}
{{- if has . $grpc.hostnames }}
{{- fail (printf "route.http and route.grpc share the host name %s: a Gateway accepts one of two routes that share one" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.route }}
{{- if not .parentRefs }}
{{- fail "a route needs route.parentRefs: the Gateway that it belongs to" }}
{{- end }}
parentRefs:
  {{- toYaml .parentRefs | nindent 2 }}
{{- end }}
{{- with .hostnames }}
hostnames:
  {{- toYaml . | nindent 2 }}
{{- end }}
rules:
  - backendRefs:
      {{- include "encserve.backends" . | nindent 6 }}
{{- end }}
