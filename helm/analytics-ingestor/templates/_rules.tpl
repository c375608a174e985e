{{/*
What the operator may do. Server-side apply needs create and patch; reads come from watches. Only objects that an
Ingestor can switch off again are deleted; the others go with their owner.
*/}}
{{- define "analytics-ingestor.rules" -}}
- apiGroups: [analytics-ingestor.io]
  resources: [ingestors]
  verbs: [list, watch, patch]
- apiGroups: [analytics-ingestor.io]
  resources: [ingestors/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
{{- if .Values.podMonitors.enabled }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [list, watch, create, patch, delete]
{{- end }}
{{- end }}

{{/* Metadata of a hook's Role: it is there before the Job and gone after it. */}}
{{- define "analytics-ingestor.preDeleteMetadata" -}}
name: {{ include "analytics-ingestor.fullname" . }}-check-uninstall
labels:
  {{- include "analytics-ingestor.componentLabels" (dict "context" . "component" "check-uninstall") | nindent 2 }}
annotations:
  helm.sh/hook: pre-delete
  helm.sh/hook-weight: "-10"
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
