// What the API's types do not say of our manifests. Each rule takes {entries, kustomization, configs, program} and returns lines.

const NUMBERS = { smtp: 25, submission: 587, submissions: 465, lmtp: 24, imap: 143, imaps: 993, pop3: 110, pop3s: 995,
  rpc: 2100, events: 2101, peer: 2102 };
// The key of the configuration behind each port of a container.
const LISTEN = { rpc: 'storage.listen', events: 'storage.publish', peer: 'cluster.peer_listen' };
const DRAIN_S = 25; // frontend.drain_timeout

const kind = (set, ...kinds) => set.entries.map((e) => e.doc).filter((d) => kinds.includes(d.kind));
const workloads = (set) => kind(set, 'StatefulSet', 'Deployment', 'Job');
const servers = (set) => kind(set, 'StatefulSet', 'Deployment');
const name = (doc) => `${doc.kind}/${doc.metadata.name}`;
const pod = (doc) => doc.spec.template.spec;
const ports = (doc) => pod(doc).containers.flatMap((c) => c.ports ?? []);
const selects = (selector, doc) =>
  Object.entries(selector).every(([k, v]) => doc.spec.template.metadata.labels?.[k] === v);

function want(lines, ok, text) {
  if (!ok) lines.push(text);
}

function security(set) {
  const lines = [];
  for (const doc of workloads(set)) {
    const p = pod(doc).securityContext ?? {};
    want(lines, p.runAsNonRoot === true && p.runAsUser > 0, `${name(doc)}: runAsNonRoot with a number`);
    want(lines, p.seccompProfile?.type === 'RuntimeDefault', `${name(doc)}: seccompProfile RuntimeDefault`);
    want(lines, p.fsGroup > 0, `${name(doc)}: fsGroup, or the keys cannot be read`);
    want(lines, pod(doc).automountServiceAccountToken === false, `${name(doc)}: automountServiceAccountToken false`);
    want(lines, pod(doc).enableServiceLinks === false, `${name(doc)}: enableServiceLinks false`);
    for (const c of pod(doc).containers) {
      const s = c.securityContext ?? {};
      want(lines, s.allowPrivilegeEscalation === false, `${name(doc)}: ${c.name}: allowPrivilegeEscalation false`);
      want(lines, s.readOnlyRootFilesystem === true, `${name(doc)}: ${c.name}: readOnlyRootFilesystem`);
      want(lines, s.capabilities?.drop?.includes('ALL') && !s.capabilities.add, `${name(doc)}: ${c.name}: drop ALL`);
      want(lines, c.resources?.requests?.cpu && c.resources?.requests?.memory && c.resources?.limits?.memory,
        `${name(doc)}: ${c.name}: resources`);
    }
    for (const v of pod(doc).volumes ?? []) {
      want(lines, !v.secret || v.secret.defaultMode === 0o440, `${name(doc)}: secret ${v.name} has mode 0440`);
    }
  }
  return lines;
}

function probes(set) {
  const lines = [];
  const known = set.program.adminPaths;
  for (const doc of servers(set)) {
    for (const c of pod(doc).containers) {
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        const get = c[probe]?.httpGet;
        want(lines, get && known.includes(get.path), `${name(doc)}: ${probe}: a path of the program (${known.join(' ')})`);
        want(lines, get && c.ports.some((p) => p.name === get.port), `${name(doc)}: ${probe}: a port of the container`);
      }
      want(lines, c.readinessProbe?.httpGet?.path === '/readyz', `${name(doc)}: readiness asks /readyz`);
      // /readyz needs a quorum: a partition must not restart pods.
      want(lines, c.livenessProbe?.httpGet?.path === '/healthz', `${name(doc)}: liveness asks /healthz, not for a quorum`);
    }
  }
  return lines;
}

function services(set) {
  const lines = [];
  for (const doc of kind(set, 'Service')) {
    const behind = servers(set).filter((w) => selects(doc.spec.selector, w));
    want(lines, behind.length === 1, `${name(doc)}: selects one workload`);
    for (const p of doc.spec.ports) {
      want(lines, p.port === NUMBERS[p.name], `${name(doc)}: ${p.name} is ${NUMBERS[p.name]}`);
      want(lines, behind.every((w) => ports(w).some((c) => c.name === p.targetPort)),
        `${name(doc)}: no container has the port ${p.targetPort}`);
    }
  }
  const offered = kind(set, 'Service').flatMap((d) => d.spec.ports.map((p) => p.name));
  for (const p of Object.keys(NUMBERS)) want(lines, offered.includes(p), `no Service offers ${p}`);
  return lines;
}

function policies(set) {
  const lines = [];
  for (const doc of kind(set, 'NetworkPolicy')) {
    const behind = servers(set).filter((w) => selects(doc.spec.podSelector.matchLabels, w));
    want(lines, behind.length === 1, `${name(doc)}: selects one workload`);
    for (const p of doc.spec.ingress.flatMap((i) => i.ports)) {
      want(lines, behind.every((w) => ports(w).some((c) => c.name === p.port)), `${name(doc)}: no container has ${p.port}`);
    }
  }
  for (const w of servers(set)) {
    const one = (k, labels) => kind(set, k).filter((d) => selects(labels(d), w)).length === 1;
    want(lines, one('NetworkPolicy', (d) => d.spec.podSelector.matchLabels), `${name(w)}: one NetworkPolicy`);
    want(lines, one('PodDisruptionBudget', (d) => d.spec.selector.matchLabels), `${name(w)}: one PodDisruptionBudget`);
  }
  return lines;
}

// Ports of containers are where the configuration listens.
function listeners(set) {
  const lines = [];
  for (const doc of servers(set)) {
    const config = set.configs[doc.metadata.name];
    want(lines, config, `${name(doc)}: no configuration of that name in the kustomization`);
    for (const p of config ? ports(doc) : []) {
      const key = p.name === 'admin' && doc.kind === 'StatefulSet' ? 'storage.admin' : LISTEN[p.name] ?? `${p.name}.listen`;
      want(lines, String(config[key]).endsWith(`:${p.containerPort}`), `${name(doc)}: ${key} is not port ${p.containerPort}`);
    }
  }
  return lines;
}

function environment(set) {
  const lines = [];
  for (const doc of workloads(set)) {
    for (const e of pod(doc).containers.flatMap((c) => c.env ?? [])) {
      const ours = e.name.startsWith('PILLARBOX_');
      want(lines, !ours || set.program.environment.includes(e.name), `${name(doc)}: the program has no key ${e.name}`);
    }
  }
  return lines;
}

// The nodes that files name are those that the StatefulSet makes.
function nodes(set) {
  const lines = [];
  const [doc] = kind(set, 'StatefulSet');
  const host = (i) => `tcp://${doc.metadata.name}-${i}.${doc.spec.serviceName}`;
  const seeds = Array.from({ length: doc.spec.replicas }, (_, i) => `${host(i)}:2100`).join(',');
  want(lines, doc.spec.podManagementPolicy === 'Parallel', `${name(doc)}: podManagementPolicy Parallel`);
  want(lines, set.configs['pillarbox-storage']?.['cluster.seeds'] === seeds, `cluster.seeds is not ${seeds}`);
  want(lines, set.configs['pillarbox-storage']?.['cluster.start'] === 'wait', 'cluster.start is not wait');
  want(lines, set.configs['pillarbox-frontend']?.['frontend.storage'] === seeds, `frontend.storage is not ${seeds}`);
  const added = kind(set, 'Job').flatMap((j) => pod(j).containers.map((c) => c.args.at(-1)));
  for (let i = 1; i < doc.spec.replicas; i++) want(lines, added.includes(`${host(i)}:2102`), `no Job adds ${host(i)}:2102`);
  const service = kind(set, 'Service').find((s) => s.metadata.name === doc.spec.serviceName);
  want(lines, service?.spec.clusterIP === 'None' && service.spec.publishNotReadyAddresses === true,
    `Service/${doc.spec.serviceName}: headless, with pods that are not ready`);
  return lines;
}

function images(set) {
  const lines = [];
  const tags = Object.fromEntries((set.kustomization.images ?? []).map((i) => [i.name, i.newTag]));
  for (const doc of workloads(set)) {
    for (const c of pod(doc).containers) {
      const tag = c.image.split(':')[1] ?? tags[c.image];
      want(lines, tag && tag !== 'latest', `${name(doc)}: ${c.name}: an image with a tag that is not latest`);
    }
  }
  return lines;
}

function draining(set) {
  const lines = [];
  for (const doc of kind(set, 'Deployment')) {
    const pause = pod(doc).containers[0].lifecycle?.preStop?.sleep?.seconds ?? 0;
    want(lines, pause > 0, `${name(doc)}: preStop, so that Services leave the pod before its listeners close`);
    want(lines, pod(doc).terminationGracePeriodSeconds > pause + DRAIN_S, `${name(doc)}: time to drain`);
  }
  return lines;
}

function versions(set) { // what is alpha or beta goes again
  return set.entries.filter((e) => /alpha|beta/.test(e.doc.apiVersion)).map((e) => `${name(e.doc)}: ${e.doc.apiVersion} is not stable`);
}

function secrets(set) {
  return kind(set, 'Secret').map((doc) => `${name(doc)}: keys do not belong in the repository`);
}

export const rules = { security, probes, services, policies, listeners, environment, nodes, images, draining, versions, secrets };
export const ruleErrors = (set) => Object.values(rules).flatMap((rule) => rule(set));
