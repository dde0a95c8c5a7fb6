// Manifests against the types of the Kubernetes API, without a server: every document becomes a literal of its kind's
// type, and the TypeScript compiler says which fields do not exist or have another type. The models' own validators find
// what types do not say (patterns, required fields of nested lists).

import { createRequire } from 'node:module';
import path from 'node:path';

export function loadModules(folder) {
  const require = createRequire(path.join(path.resolve(folder), 'package.json'));
  return { yaml: require('yaml'), ts: require('typescript'), require, folder: path.resolve(folder) };
}

const modelOf = (doc) => `kubernetes-models/${doc.apiVersion}/${doc.kind}`;
const nameOf = (entry) => `${entry.file}: ${entry.doc.kind}/${entry.doc.metadata?.name}`;

function validate(modules, entry) {
  let model;
  try {
    model = modules.require(modelOf(entry.doc));
  } catch {
    return [`${nameOf(entry)}: there is no ${entry.doc.kind} in ${entry.doc.apiVersion}`];
  }
  try {
    new model[entry.doc.kind](entry.doc).validate();
    return [];
  } catch (e) {
    return [`${nameOf(entry)}: ${e.message}`];
  }
}

// A compiler host that finds the literals in memory and all else below the npm folder.
function hostOf(ts, options, sources) {
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  host.fileExists = (f) => sources.has(f) || fileExists.call(host, f);
  host.readFile = (f) => sources.get(f) ?? readFile.call(host, f);
  host.getSourceFile = (f, target, ...rest) =>
    sources.has(f) ? ts.createSourceFile(f, sources.get(f), target) : getSourceFile.call(host, f, target, ...rest);
  return host;
}

function compile({ ts, folder }, entries) {
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.CommonJS,
    moduleResolution: ts.ModuleResolutionKind.Node10, target: ts.ScriptTarget.ES2020 };
  const sources = new Map();
  entries.forEach((entry, i) => {
    const text = `import type { I${entry.doc.kind} as T } from '${modelOf(entry.doc)}';\n` +
      `export const manifest: T = ${JSON.stringify(entry.doc, null, 1)};\n`;
    sources.set(path.join(folder, `manifest${i}.ts`), text);
  });
  const files = [...sources.keys()];
  return ts.getPreEmitDiagnostics(ts.createProgram(files, options, hostOf(ts, options, sources))).map((d) => {
    const why = ts.flattenDiagnosticMessageText(d.messageText, ' ');
    const entry = d.file && entries[files.indexOf(d.file.fileName)];
    if (!entry) return why;
    const line = d.file.getLineAndCharacterOfPosition(d.start).line;
    return `${nameOf(entry)}: ${d.file.text.split('\n')[line].trim()}: ${why}`;
  });
}

// What is wrong with [{file, doc}], as lines.
export function typedErrors(modules, entries) {
  const wrong = entries.flatMap((entry) => validate(modules, entry));
  return wrong.length > 0 ? wrong : compile(modules, entries);
}
