{{- define "encserve.copyModels" -}}
- name: models
  image: {{ include "encserve.image" (dict "root" . "image" .Values.models.image) }}
  command: [cp, -R, {{ printf "%s/." .Values.models.image.path | quote }}, /repository]
  {{- include "encserve.containerSecurity" . | nindent 2 }}
  resources:
    {{- include "encserve.resources" (dict "cores" 1 "memory" "256Mi") | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: /repository
{{- end }}

{{- define "encserve.modelsMount" -}}
- name: models
  mountPath: /models
  {{- if eq .Values.models.source "volume" }}
  subPath: {{ trimPrefix "/" .Values.models.image.path }}
  {{- end }}
  readOnly: true
{{- end }}

{{- define "encserve.modelsVolume" -}}
- name: models
  {{- if eq .Values.models.source "image" }}
  emptyDir:
    sizeLimit: {{ .Values.models.size }}
  {{- else if eq .Values.models.source "volume" }}
  {{- if semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version }}
  {{- fail (printf "models.source is volume, which Kubernetes has from 1.35 on; this is %s: use image or claim" .Capabilities.KubeVersion.Version) }}
  {{- end }}
  image:
    reference: {{ include "encserve.image" (dict "root" . "image" .Values.models.image) }}
    pullPolicy: IfNotPresent
  {{- else }}
  persistentVolumeClaim:
    claimName: {{ required "models.source is claim, so models.claim must name a PersistentVolumeClaim" .Values.models.claim }}
    readOnly: true
  {{- end }}
{{- end }}

{{/* The GPU architecture that the certificates of plans name, such as sm_90; nothing where there is no plan. */}}
{{- define "encserve.planArchitecture" -}}
{{- $found := dict }}
{{- range $name, $text := .Values.models.certificates }}
{{- if not (has $name $.Values.models.serve) }}
{{- fail (printf "models.certificates has %s, which models.serve does not: %s" $name (join ", " $.Values.models.serve)) }}
{{- end }}
{{- $manifest := fromJson $text }}
{{- if not (hasKey $manifest "files") }}
{{- fail (printf "models.certificates.%s is no manifest.json of a version: give the file with --set-file" $name) }}
{{- end }}
{{- with $manifest.plan }}
{{- $_ := set $found .gpu_architecture $name }}
{{- end }}
{{- end }}
{{- if gt (len $found) 1 }}
{{- fail (printf "models.certificates has plans for %s; one pool has one GPU architecture: make a release for each" (keys $found | sortAlpha | join ", ")) }}
{{- end }}
{{- keys $found | join "" }}
{{- end }}

{{/* Where pods may go: the labels are those of NVIDIA's GPU feature discovery. */}}
{{- define "encserve.serverNodes" -}}
{{- $architecture := include "encserve.planArchitecture" . }}
{{- $labels := deepCopy .Values.server.nodeSelector }}
{{- if eq .Values.server.pool "gpu" }}
{{- with .Values.server.gpu.product }}
{{- $_ := set $labels "nvidia.com/gpu.product" . }}
{{- end }}
{{- with $architecture }}
{{- $digits := trimPrefix "sm_" . }}
{{- $_ := set $labels "nvidia.com/gpu.compute.major" (trunc (int (sub (len $digits) 1)) $digits) }}
{{- $_ := set $labels "nvidia.com/gpu.compute.minor" (trunc -1 $digits) }}
{{- end }}
{{- else if $architecture }}
{{- fail (printf "server.pool is cpu, and models.certificates has a plan for a GPU of %s" $architecture) }}
{{- end }}
{{- with $labels }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := .Values.server.tolerations }}
{{- if eq .Values.server.pool "gpu" }}
{{- $tolerations = append $tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
