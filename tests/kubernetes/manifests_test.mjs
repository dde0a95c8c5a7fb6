// The manifests of deploy/kubernetes: types of the Kubernetes API, our own rules, and the configuration by the program
// itself. Then mistakes are planted, one at a time: each has to be found. Exit status 77: npm's packages are not there.
//
//   node manifests_test.mjs ROOT        PB_NPM_KUBERNETES: the npm folder; PB_BIN: the program

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { loadModules, typedErrors } from './typed.mjs';
import { ruleErrors } from './rules.mjs';

const root = process.argv[2];
const base = path.join(root, 'deploy/kubernetes/base');
const skip = (why) => { console.log(`skipped: ${why}`); process.exit(77); };

function modulesOrSkip() {
  try {
    return loadModules(process.env.PB_NPM_KUBERNETES || skip('PB_NPM_KUBERNETES is not set'));
  } catch (e) {
    return skip(`npm packages are missing (tests/run.sh installs them): ${e.message.split('\n')[0]}`);
  }
}

const { yaml, ...modules } = modulesOrSkip();
const read = (file) => fs.readFileSync(path.join(base, file), 'utf8');

function flat(value, prefix = '') { // nested mappings as the program's dotted keys
  return Object.entries(value).flatMap(([k, v]) => (v && typeof v === 'object' ? flat(v, `${prefix}${k}.`) : [[prefix + k, v]]));
}

function documents(file) {
  return yaml.parseAllDocuments(read(file)).map((d) => {
    if (d.errors.length > 0) throw new Error(`${file}: ${d.errors[0].message}`);
    return { file, doc: d.toJSON() };
  });
}

function program() {
  const keys = execFileSync(process.env.PB_BIN, ['config'], { encoding: 'utf8' });
  const source = fs.readFileSync(path.join(root, 'frontend/admin/admin.c'), 'utf8');
  return {
    adminPaths: [...source.matchAll(/slice_eq_str\(path, "([^"]+)"\)/g)].map((m) => m[1]),
    environment: flat(yaml.parse(keys)).map(([k]) => `PILLARBOX_${k.toUpperCase().replaceAll('.', '_')}`),
  };
}

function load() {
  const kustomization = yaml.parse(read('kustomization.yaml'));
  const generated = kustomization.configMapGenerator.map((g) => [g.name, g.files[0].split('=')[1]]);
  const configs = Object.fromEntries(generated.map(([n, file]) => [n, Object.fromEntries(flat(yaml.parse(read(file))))]));
  return { entries: kustomization.resources.flatMap(documents), kustomization, configs, program: program() };
}

function files(set) { // nothing in the folder that kustomize does not know
  const there = fs.readdirSync(base).filter((f) => f.endsWith('.yaml') && f !== 'kustomization.yaml').sort();
  const listed = [...set.kustomization.resources].sort();
  return JSON.stringify(there) === JSON.stringify(listed) ? [] : [`kustomization.yaml lists ${listed}, there are ${there}`];
}

function configuration(set) { // as the program reads it
  return set.kustomization.configMapGenerator.flatMap((g) => {
    const file = path.join(base, g.files[0].split('=')[1]);
    try {
      execFileSync(process.env.PB_BIN, ['config', '--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
      return [];
    } catch (e) {
      return [`${file}: ${e.stderr}`];
    }
  });
}

// --- planted mistakes ---

const of = (set, wanted, n = 0) => set.entries.map((e) => e.doc).filter((d) => d.kind === wanted)[n];
const container = (set, wanted) => of(set, wanted).spec.template.spec.containers[0];
const typed = { // found by the types alone
  'a misspelt field': (s) => { const p = of(s, 'PodDisruptionBudget').spec; p.maxUnavail = p.maxUnavailable; },
  'a misspelt field far inside': (s) => { const p = container(s, 'StatefulSet').livenessProbe; p.httpGett = p.httpGet; },
  'a misspelt enum': (s) => { of(s, 'StatefulSet').spec.podManagementPolicy = 'Paralel'; },
  'a text where a number belongs': (s) => { of(s, 'StatefulSet').spec.replicas = 'three'; },
  'a field that is missing': (s) => { delete of(s, 'StatefulSet').spec.selector; },
  'a kind that is not there': (s) => { of(s, 'PodDisruptionBudget').apiVersion = 'policy/v2'; },
};
const ruled = { // correct for Kubernetes, wrong for us
  'liveness that asks for a quorum': (s) => { container(s, 'StatefulSet').livenessProbe.httpGet.path = '/readyz'; },
  'a probe of a path that is not there': (s) => { container(s, 'Deployment').startupProbe.httpGet.path = '/health'; },
  'a Service that leads nowhere': (s) => { of(s, 'Service', 1).spec.ports[0].targetPort = 'smtps'; },
  'a port where nobody listens': (s) => { container(s, 'Deployment').ports[0].containerPort = 25; },
  'a root file system to write to': (s) => { delete container(s, 'Job').securityContext.readOnlyRootFilesystem; },
  'capabilities': (s) => { container(s, 'Deployment').securityContext.capabilities.add = ['NET_BIND_SERVICE']; },
  'no seccomp profile': (s) => { delete of(s, 'StatefulSet').spec.template.spec.securityContext.seccompProfile; },
  'the latest image': (s) => { container(s, 'StatefulSet').image = 'pillarbox:latest'; },
  'a key that the program does not have': (s) => { container(s, 'StatefulSet').env[1].name = 'PILLARBOX_CLUSTER_PEER_ADRESS'; },
  'a fourth node that nobody names': (s) => { of(s, 'StatefulSet').spec.replicas = 4; },
  'nodes that make clusters by themselves': (s) => { s.configs['pillarbox-storage']['cluster.start'] = 'found'; },
  'a version that goes again': (s) => { of(s, 'PodDisruptionBudget').apiVersion = 'policy/v1beta1'; },
  'a pod that is killed while it drains': (s) => { of(s, 'Deployment').spec.template.spec.terminationGracePeriodSeconds = 30; },
  'a committed key': (s) => { s.entries.push({ file: 'x', doc: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } } }); },
};

function unfound(set, mistakes, errors) {
  return Object.entries(mistakes).flatMap(([what, plant]) => {
    const copy = structuredClone(set);
    plant(copy);
    const found = errors(copy);
    console.log(`planted ${what}: ${found[0] ?? 'NOT FOUND'}`);
    return found.length > 0 ? [] : [`${what} was not found`];
  });
}

const set = load();
const check = (s) => typedErrors(modules, s.entries);
const wrong = [...files(set), ...check(set), ...ruleErrors(set), ...configuration(set)];
for (const line of wrong) console.log(line);
if (wrong.length === 0) wrong.push(...unfound(set, typed, check), ...unfound(set, ruled, ruleErrors));
console.log(wrong.length === 0 ? `ok: ${set.entries.length} documents` : `${wrong.length} mistakes`);
process.exit(wrong.length === 0 ? 0 : 1);
