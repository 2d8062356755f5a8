{{/* The question to the launcher's page on loopback, by the shell alone: a Python for each probe would take a percent of
a core. The page knows from real inference whether each pipeline answers, and an overloaded one does. */}}
{{- define "encserve.askPage" -}}
exec:
  command:
    - bash
    - -c
    - >-
      exec 3<>/dev/tcp/127.0.0.1/8003
      && printf 'GET /health HTTP/1.0\r\n\r\n' >&3
      && read -r _ status _ <&3
      && [ {{ .condition }} ]
{{- end }}

{{- define "encserve.serverProbes" -}}
# Until every pipeline answers, for as long as the launcher gives them.
startupProbe:
  {{- include "encserve.askPage" (dict "condition" "\"$status\" = 200") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: {{ add (div .Values.server.startupTimeoutS 5) 6 }}
readinessProbe:
  {{- include "encserve.askPage" (dict "condition" "\"$status\" = 200") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
# Whether the launcher lives, which starts by itself what died or hangs below it; a start takes as long as it takes.
livenessProbe:
  {{- include "encserve.askPage" (dict "condition" "-n \"$status\"") | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
  terminationGracePeriodSeconds: 5 # a launcher that says nothing finishes nothing
{{- end }}
