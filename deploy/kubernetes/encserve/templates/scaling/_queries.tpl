{{/* The series of this release, by the labels that its ServiceMonitor gives them. */}}
{{- define "encserve.series" -}}
namespace="{{ .Release.Namespace }}",service="{{ include "encserve.name" (dict "root" . "part" "server") }}"
{{- end }}

{{/* Seconds of interactive work that wait, on average over the replicas, for the pipeline with the most. One element, and 0
while nobody asks; none at all where Prometheus does not see the servers, which is no reason to stop one. Bulk fills any
capacity, and is left out. */}}
{{- define "encserve.workQuery" -}}
{{- $steps := "\"pipeline\", \"$1\", \"model\", \"(.+?)_(?:tokenize|encode|encode_tensorrt|generate|cascade)\"" -}}
{{- $interactive := printf "{lane=\"interactive\",%s}" (include "encserve.series" .) -}}
max(
  sum by (pipeline) (label_replace(encserve_waiting_tokens{{ $interactive }}, {{ $steps }}))
  / (sum by (pipeline) (label_replace(encserve_tokens_per_second{{ $interactive }}, {{ $steps }})) > 0)
) or 0 * max(encserve_waiting_tokens{{ $interactive }})
{{- end }}

{{/* The share of interactive requests that the door refuses. A queue is never longer than the door lets it become, so that
its length alone would say "enough" of any flood. */}}
{{- define "encserve.refusalsQuery" -}}
{{- $interactive := printf "{lane=\"interactive\",%s}" (include "encserve.series" .) -}}
sum(rate(encserve_refused_requests{{ $interactive }}[2m]))
/ (
  sum(rate(encserve_refused_requests{{ $interactive }}[2m]))
  + sum(
    rate(encserve_request_duration_seconds_count{{ $interactive }}[2m])
    or rate(encserve_generate_request_seconds_count{{ $interactive }}[2m])
  ) > 0
) or 0 * max(encserve_waiting_tokens{{ $interactive }})
{{- end }}

{{/* Up by as many again each minute; down, once all was well for five minutes, by a quarter a minute. */}}
{{- define "encserve.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - type: Percent
      value: 100
      periodSeconds: 60
    - type: Pods
      value: 2
      periodSeconds: 60
scaleDown:
  stabilizationWindowSeconds: 300
  policies:
    - type: Percent
      value: 25
      periodSeconds: 60
{{- end }}

{{- define "encserve.checkScaling" -}}
{{- with .Values.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas is %v, which is above autoscaling.maxReplicas, %v" .minReplicas .maxReplicas) }}
{{- end }}
{{- if and (eq .kind "keda") (gt (int .fallbackReplicas) (int .maxReplicas)) }}
{{- fail (printf "autoscaling.fallbackReplicas is %v, which is above autoscaling.maxReplicas, %v" .fallbackReplicas .maxReplicas) }}
{{- end }}
{{- end }}
{{- if not .Values.monitoring.enabled }}
{{- fail "autoscaling looks at Prometheus, which sees the servers by monitoring.enabled" }}
{{- end }}
{{- end }}
