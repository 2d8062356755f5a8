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
{{- end }}
