{{- define "selfie3d.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "selfie3d.labels" -}}
{{ include "selfie3d.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: selfie3d
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "selfie3d.selector" -}}
app.kubernetes.io/name: selfie3d
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "selfie3d.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ .repository }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end -}}

{{/* The service by all its pods' addresses: what balances over HTTP/2 connections. */}}
{{- define "selfie3d.headless" -}}
{{ include "selfie3d.fullname" . }}-service-headless.{{ .Release.Namespace }}.svc:50051
{{- end -}}

{{/* What all pods share. .root, .component, .pod: the component's values */}}
{{- define "selfie3d.podSpec" -}}
automountServiceAccountToken: false
{{- if ne .component "web" }}
{{- with .root.Values.serviceAccount }}
serviceAccountName: {{ . }}
{{- end }}
{{- end }}
shareProcessNamespace: true # process 1 is then not ours: a SIGTERM before our handlers are there still ends a process
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .pod.graceSeconds }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.topologyKeys }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "selfie3d.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "selfie3d.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Variables from a map, sorted by name. */}}
{{- define "selfie3d.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "selfie3d.credentials" -}}
{{- with .Values.credentialsSecret }}
envFrom: [{secretRef: {name: {{ . }}}}]
{{- end }}
{{- end -}}

{{- define "selfie3d.redisEnv" -}}
SELFIE3D_REDIS_URL_FILE: /run/selfie3d/redis/url
{{- end -}}

{{- define "selfie3d.redisMounts" -}}
- {name: redis, mountPath: /run/selfie3d/redis, readOnly: true}
{{- if .Values.redis.caSecret }}
- {name: redis-ca, mountPath: /run/selfie3d/redis-ca, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "selfie3d.redisVolumes" -}}
- name: redis
  secret:
    secretName: {{ required "redis.secret: name the Secret that holds the URL of Redis" .Values.redis.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.redis.urlKey }}, path: url}]
{{- with .Values.redis.caSecret }}
- name: redis-ca
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- end -}}

{{/* Rules of a NetworkPolicy: names are resolved in kube-system, or by a cache on the node. */}}
{{- define "selfie3d.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{- define "selfie3d.redisEgress" -}}
- ports: [{port: {{ .Values.redis.port }}, protocol: TCP}]
  {{- with .Values.redis.peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
