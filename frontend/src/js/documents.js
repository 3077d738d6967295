// Every GraphQL document of the monitor. Each stands on its own and is checked against schema.graphql.

export const JOBS = /* GraphQL */ `
  query Jobs($first: Int!, $after: String, $status: [JobStatus!], $search: String, $orderBy: JobOrder!, $ascending: Boolean!) {
    viewer { id spending { runningJobs hourlyRate thisMonth } }
    jobs(first: $first, after: $after, status: $status, search: $search, orderBy: $orderBy, ascending: $ascending) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        id status stage progress currentStep totalSteps presetId release stale
        createdAt startedAt completedAt
        gpuConfig { gpuType numGpus }
        currentMetrics { trainingLoss }
        costs { estimatedTotal current final }
        dataset { name }
      }
    }
  }
`;

export const JOB = /* GraphQL */ `
  query Job($id: ID!) {
    job(id: $id) {
      id status stage progress currentEpoch totalEpochs currentStep totalSteps presetId
      externalJobId errorMessage release releasingSince stale lastContactAt contactLostSince
      createdAt submittedAt startedAt completedAt releasedAt
      hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
      gpuConfig { gpuType numGpus costPerGpuHour hourlyRate }
      currentMetrics { trainingLoss validationLoss learningRate throughput gpuUtilization }
      metrics(maxPoints: 500) {
        timestamp epoch step trainingLoss validationLoss learningRate gradientNorm throughput gpuUtilization nonFinite
      }
      costs {
        estimatedTotal current final
        records { id costType amount gpuType gpuCount durationHours recordedAt }
      }
      dataset { id name totalTrainingPairs totalTokens }
      artifact { id name sizeBytes sha256 downloadUrl createdAt }
      events { at kind detail }
    }
  }
`;

/** What may have changed since `JOB`: asked every five seconds, so nothing else. */
export const JOB_UPDATE = /* GraphQL */ `
  query JobUpdate($id: ID!, $afterStep: Int, $last: Int!) {
    job(id: $id) {
      status stage progress currentEpoch currentStep totalSteps
      externalJobId errorMessage release releasingSince stale lastContactAt contactLostSince
      submittedAt startedAt completedAt releasedAt
      currentMetrics { trainingLoss validationLoss learningRate throughput gpuUtilization }
      metrics(last: $last, afterStep: $afterStep) {
        timestamp epoch step trainingLoss validationLoss learningRate gradientNorm throughput gpuUtilization nonFinite
      }
      costs { current final }
    }
  }
`;

export const COMPARED_JOB = /* GraphQL */ `
  query ComparedJob($id: ID!) {
    job(id: $id) {
      id status progress currentStep totalSteps presetId release stale createdAt startedAt completedAt
      hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
      gpuConfig { gpuType numGpus costPerGpuHour }
      currentMetrics { trainingLoss validationLoss throughput }
      costs { estimatedTotal current final }
      dataset { id name totalTrainingPairs }
      metrics(maxPoints: 400) {
        timestamp epoch step trainingLoss validationLoss learningRate gradientNorm throughput gpuUtilization nonFinite
      }
    }
  }
`;

export const METRICS_PART = /* GraphQL */ `
  query MetricsPart($id: ID!, $from: Int!, $to: Int!, $most: Int!) {
    job(id: $id) {
      id
      metrics(maxPoints: $most, fromStep: $from, toStep: $to) {
        timestamp epoch step trainingLoss validationLoss learningRate gradientNorm throughput gpuUtilization nonFinite
      }
    }
  }
`;

export const ARTIFACT = /* GraphQL */ `
  query Artifact($id: ID!) {
    job(id: $id) { id artifact { id downloadUrl } }
  }
`;

export const JOB_SETTINGS = /* GraphQL */ `
  query JobSettings($id: ID!) {
    job(id: $id) {
      id presetId
      dataset { id name status totalTrainingPairs totalTokens errorMessage createdAt }
      hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
      gpuConfig { gpuType numGpus }
    }
  }
`;

export const CANCEL_JOB = /* GraphQL */ `
  mutation CancelJob($id: ID!) {
    cancelJob(id: $id) {
      __typename
      ... on CancelJobSuccess { job { id status } }
      ... on Error { message }
    }
  }
`;

export const FORM_OPTIONS = /* GraphQL */ `
  query FormOptions {
    datasets(first: 50) {
      totalCount
      nodes { id name status totalTrainingPairs totalTokens errorMessage createdAt }
    }
    presets {
      id name description gpuType numGpus
      hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
    }
    gpuTypes { id name memoryGb costPerGpuHour maxGpus }
  }
`;

export const ESTIMATE_COST = /* GraphQL */ `
  query EstimateCost($input: TrainingConfigInput!) {
    estimateCost(input: $input) {
      __typename
      ... on CostEstimate { total hourlyRate durationHours totalSteps }
      ... on Error { message }
      ... on InvalidInput { fields { path message } }
    }
  }
`;

export const CREATE_JOB = /* GraphQL */ `
  mutation CreateJob($input: TrainingConfigInput!) {
    createJob(input: $input) {
      __typename
      ... on CreateJobSuccess { job { id } }
      ... on Error { message }
      ... on InvalidInput { fields { path message } }
    }
  }
`;

export const CREATE_UPLOAD = /* GraphQL */ `
  mutation CreateDatasetUpload($input: DatasetUploadInput!) {
    createDatasetUpload(input: $input) {
      __typename
      ... on DatasetUpload { uploadUrl dataset { id name } }
      ... on Error { message }
      ... on InvalidInput { fields { path message } }
    }
  }
`;

export const COMPLETE_UPLOAD = /* GraphQL */ `
  mutation CompleteDatasetUpload($id: ID!) {
    completeDatasetUpload(id: $id) {
      __typename
      ... on DatasetPayload {
        dataset { id name status totalTrainingPairs totalTokens errorMessage createdAt }
      }
      ... on Error { message }
      ... on InvalidInput { fields { path message } }
    }
  }
`;

/** How far the check of a dataset has come. */
export const DATASET_CHECK = /* GraphQL */ `
  query DatasetCheck($id: ID!) {
    dataset(id: $id) { id checked }
  }
`;

export const UNREAD = /* GraphQL */ `
  query Unread {
    viewer { id unreadNotifications }
  }
`;

export const NOTIFICATIONS = /* GraphQL */ `
  query Notifications {
    viewer { id unreadNotifications }
    notifications(first: 20) {
      totalCount
      nodes { id type title message priority actionUrl readAt createdAt }
    }
  }
`;

export const UNREAD_IDS = /* GraphQL */ `
  query UnreadIds {
    notifications(first: 100, unreadOnly: true) { nodes { id } }
  }
`;

export const MARK_READ = /* GraphQL */ `
  mutation MarkNotificationsRead($ids: [ID!]!) {
    markNotificationsRead(ids: $ids) {
      __typename
      ... on MarkNotificationsReadSuccess { viewer { id unreadNotifications } }
      ... on Error { message }
    }
  }
`;
