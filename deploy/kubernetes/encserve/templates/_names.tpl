{{/* The name of a part, as "server", in this release. */}}
{{- define "encserve.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .root.Release.Name) }}
{{- fail (printf "the release is called %s: Services are named after it, so it needs a name of a-z, 0-9 and -, from a letter on" .root.Release.Name) }}
{{- end -}}
{{ printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .part }}
{{- end }}

{{/* What tells the pods of a part from all others. */}}
{{- define "encserve.selector" -}}
app.kubernetes.io/name: encserve
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "encserve.labels" -}}
{{ include "encserve.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "encserve.metadata" -}}
name: {{ include "encserve.name" . }}
labels:
  {{- include "encserve.labels" . | nindent 2 }}
{{- end }}

{{/* An image by its digest where one is given, else by its tag. */}}
{{- define "encserve.image" -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}
