{{/* What a collector is sent beside spans, from a Secret. */}}
{{- define "encserve.traceHeaders" -}}
{{- if . }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: headers
{{- end }}
{{- end }}

{{/* The share of requests that are traced, written out; nothing where it is left out or empty, which 0 is not. */}}
{{- define "encserve.traceShare" -}}
{{- if not (kindIs "invalid" .) }}
{{- kindIs "string" . | ternary . (float64 . | printf "%.15g") }}
{{- end }}
{{- end }}

{{/* The environment of the server, from its values. Numbers are written out: Helm itself would make a million 1e+06. */}}
{{- define "encserve.serverEnvironment" -}}
{{- with .adminSecret }}
{{- if .name }}
- name: ENCSERVE_ADMIN_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- range $setting, $variable := dict
    "latencyBucketsS" "ENCSERVE_LATENCY_BUCKETS_S"
    "maxQueuedTexts" "ENCSERVE_MAX_QUEUED_TEXTS"
    "recentRowsMib" "ENCSERVE_RECENT_ROWS_MIB"
    "intraOpThreads" "ENCSERVE_INTRA_OP_THREADS" }}
{{- with index $.settings $setting }}
- name: {{ $variable }}
  value: {{ kindIs "string" . | ternary . (float64 . | printf "%.15g") | quote }}
{{- end }}
{{- end }}
{{- with .sharedRows }}
{{- if .secret }}
- name: ENCSERVE_SHARED_ROWS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: url
- name: ENCSERVE_SHARED_ROWS_SECRET_FILE
  value: /shared-rows/secret
{{- range $setting, $variable := dict
    "budgetMs" "ENCSERVE_SHARED_ROWS_BUDGET_MS"
    "ttlS" "ENCSERVE_SHARED_ROWS_TTL_S" }}
{{- with index $.sharedRows $setting }}
- name: {{ $variable }}
  value: {{ kindIs "string" . | ternary . (float64 . | printf "%.15g") | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .traces }}
{{- if .otlp }}
- name: ENCSERVE_OTLP
  value: {{ .otlp | quote }}
{{- with include "encserve.traceShare" .share }}
- name: ENCSERVE_TRACE_SHARE
  value: {{ . | quote }}
{{- end }}
{{- if .requestIds }}
- name: ENCSERVE_TRACE_REQUEST_IDS
  value: "1"
{{- end }}
{{- with .serviceName }}
- name: OTEL_SERVICE_NAME
  value: {{ . | quote }}
{{- end }}
{{- include "encserve.traceHeaders" .headersSecret }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME)
{{- end }}
{{- end }}
{{- end }}
