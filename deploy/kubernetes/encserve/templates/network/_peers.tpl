{{- define "encserve.monitoringPeer" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .Values.network.monitoringNamespace }}
{{- end }}

{{/* The Services that a route shares its requests among: this release's and, with a weight, a canary's. */}}
{{- define "encserve.backends" -}}
{{- $canary := .root.Values.route.canary }}
- name: {{ include "encserve.name" . }}
  port: {{ .port }}
  weight: {{ sub 100 $canary.weight }}
{{- if $canary.release }}
- name: {{ printf "%s-%s" (trunc 40 $canary.release | trimSuffix "-") .part }}
  port: {{ .port }}
  weight: {{ $canary.weight }}
{{- else if $canary.weight }}
{{- fail (printf "route.canary.weight is %v, and route.canary.release names no release to which that would go" $canary.weight) }}
{{- end }}
{{- end }}

{{- define "encserve.routeSpec" -}}
{{- with .root.Values.route }}
{{- if not .parentRefs }}
{{- fail "a route needs route.parentRefs: the Gateway that it belongs to" }}
{{- end }}
parentRefs:
  {{- toYaml .parentRefs | nindent 2 }}
{{- with .hostnames }}
hostnames:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
rules:
  - backendRefs:
      {{- include "encserve.backends" . | nindent 6 }}
{{- end }}
