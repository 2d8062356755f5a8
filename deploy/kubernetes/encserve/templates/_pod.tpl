{{/* What every pod may not: it passes Pod Security "restricted". */}}
{{- define "encserve.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch # a claim's files are not gone through at each start
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "encserve.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Over zones and hosts as far as there are, each rollout by itself. */}}
{{- define "encserve.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "encserve.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}

{{/* Whole cores, all of them asked for: with the kubelet's static policy they are this container's own. */}}
{{- define "encserve.resources" -}}
requests:
  cpu: {{ .cores }}
  memory: {{ .memory }}
limits:
  cpu: {{ .cores }}
  memory: {{ .memory }}
{{- end }}

{{/* The MiB of a quantity, as "8Gi". */}}
{{- define "encserve.mebibytes" -}}
{{ mul (regexFind "^[0-9]+" .) (get (dict "Mi" 1 "Gi" 1024 "Ti" 1048576) (regexFind "[MGT]i$" .)) }}
{{- end }}
