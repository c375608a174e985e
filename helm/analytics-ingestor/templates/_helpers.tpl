{{- define "analytics-ingestor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names of objects. 40 characters leave room for the longest suffix within the 63 of a label. */}}
{{- define "analytics-ingestor.fullname" -}}
{{- $name := include "analytics-ingestor.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The component tells the operator's pod from ingest pods of an Ingestor that is named like the release. */}}
{{- define "analytics-ingestor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "analytics-ingestor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of what is not the operator itself carry another component: pass a dict of context and component. */}}
{{- define "analytics-ingestor.componentLabels" -}}
app.kubernetes.io/name: {{ include "analytics-ingestor.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{ include "analytics-ingestor.releaseLabels" .context }}
{{- end }}

{{- define "analytics-ingestor.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: analytics-ingestor
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "analytics-ingestor.labels" -}}
{{ include "analytics-ingestor.selectorLabels" . }}
{{ include "analytics-ingestor.releaseLabels" . }}
{{- end }}

{{- define "analytics-ingestor.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "analytics-ingestor.serviceAccountName" -}}
{{- default (include "analytics-ingestor.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* Empty means all namespaces. */}}
{{- define "analytics-ingestor.namespaces" -}}
{{- if eq .Values.scope "Namespace" }}{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "analytics-ingestor.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "analytics-ingestor.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where the pods of this chart may run. */}}
{{- define "analytics-ingestor.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
