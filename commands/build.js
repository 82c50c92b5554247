/**
 * Builds dist/commands: one file for each command, which holds all it may need (a file more costs a millisecond at every
 * start), in parts that run when they are asked for. They are scripts, not modules, as Node loads and caches those
 * fastest; `launch.cjs` (src/command/launch.ts) runs them.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'dist/commands')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const options = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  charset: 'ascii',
  // Names stay, as they are what a stack trace tells.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 120,
  external: ['node-pty', 'koffi', 'ink', 'react', 'cli-progress'],
  define: { 'import.meta.url': '__filename', builtVersion: JSON.stringify(version), performance: '__clock' },
  logLevel: 'warning',
}

/**
 * What draws whole screens needs packages that are modules and can be nothing else, so that it is a module of its own. It
 * shares no class with the command that loads it.
 */
const screen = { source: 'src/screens/file-browser.tsx', file: 'file-browser.mjs', imports: ['lib/errors.ts'] }

const screensApart = {
  name: 'screens apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/screens\/[\w-]+\.tsx$/ }, ({ path, kind }) => {
      if (kind === 'entry-point') return undefined
      if (!path.endsWith(screen.source) || kind !== 'dynamic-import')
        throw new Error(`${path} is not known to commands/build.js`)
      return { path: `./${screen.file}`, external: true }
    })
  },
}

/**
 * What most runs do without, or not before the connection is on its way: the first call of a function loads it, in the
 * sources that are named. The engine itself takes `crypto` at once.
 */
const lateModules = {
  'node:child_process': /./,
  'node:dns/promises': /./,
  'node:readline': /./,
  'node:v8': /./,
  'node:crypto': /^(src|commands)\/|^lib\/crypto\/hash\.ts$/,
}

const late = {
  name: 'late modules of Node',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, importer, namespace }) =>
      namespace !== 'late' && lateModules[path]?.test(relative(root, importer).replaceAll('\\', '/'))
        ? { path, namespace: 'late' }
        : { path, external: true },
    )
    onLoad({ filter: /./, namespace: 'late' }, async ({ path }) => {
      const isFunction = ([name, value]) => typeof value === 'function' && /^[a-z]/.test(name) && name !== 'default'
      const names = Object.entries(await import(path)).filter(isFunction)
      const calls = names.map(([name]) => `export const ${name} = (...args) => load().${name}(...args)`)
      return { contents: [`let loaded`, `const load = () => (loaded ??= require('${path}'))`, ...calls].join('\n') }
    })
  },
}

/** The lists of algorithms that a configuration starts from, without the algorithms: those load while the host answers. */
const namesAlone = {
  name: 'names of algorithms',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/openssh\/engine-algorithms\.ts$/ }, async () => {
      const { engineAlgorithmNames } = await import('../dist/src/openssh/engine-algorithms.js')
      return { contents: `export const engineAlgorithmNames = ${JSON.stringify(engineAlgorithmNames)}` }
    })
  },
}

async function bundled(entry) {
  const { outputFiles } = await build({ ...options, entryPoints: [entry], plugins: [screensApart, late, namesAlone] })
  return outputFiles[0].text
}

async function bundledScreen() {
  const { source, imports } = screen
  const { outputFiles, metafile } = await build({ ...options, format: 'esm', entryPoints: [source], metafile: true })
  const foreign = Object.keys(metafile.inputs).filter(input => input !== source && !imports.includes(input))
  if (foreign.length > 0) throw new Error(`${source} imports ${foreign.join(', ')}`)
  return outputFiles[0].text
}

/** Node's own clock comes with much else that is loaded at its first use. */
const clock = 'const __clock={now(){const[s,n]=process.hrtime();return s*1e3+n/1e6}};'

/** A bundle as a function that is told which parts run, after a line that names its contents. */
function asScript(text) {
  let found = 0
  const told = text.replace(/(\w+)\[(\w+)\(\1\)\[0\]\]\)\(\1 ?= ?0\)/g, (_all, part, names) => {
    found++
    return `${part}[__part(${names}(${part})[0])])(${part}=0)`
  })
  if (found !== 1) throw new Error(`the start of parts occurs ${found} times in a bundle`)
  // Node's own imports need no loader of modules.
  // What code of the cache imports, Node 20 does not: the launcher does it.
  const script = told
    .replace(/\bimport\(("node:[\w/]+")\)/g, 'Promise.resolve(require($1))')
    .replace(/\bimport\(("\.\/[\w-]+\.mjs")\)/g, '__import($1)')
  if (/\bimport\(/.test(script)) throw new Error('a bundle imports what its launcher does not know')
  const wrapped = `(function(exports,require,module,__filename,__dirname,__part,__import){${clock}${script}\n})`
  // Read as Latin-1, the fastest way.
  if (!/^[\0-\x7f]*$/.test(wrapped)) throw new Error('a bundle is not ASCII')
  return `// ${createHash('sha256').update(wrapped).digest('hex').slice(0, 32)}\n${wrapped}`
}

/** A command that runs meanwhile finds the old file or the new one. */
const written = new Set()
function write(name, text) {
  const draft = join(target, `.${name}.${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, join(target, name))
  written.add(name)
}

mkdirSync(target, { recursive: true })
write('launch.cjs', await bundled('src/command/launch.ts'))
write(screen.file, await bundledScreen())
for (const command of readdirSync(join(root, 'commands'), { withFileTypes: true })) {
  if (command.isDirectory()) write(`${command.name}.cjs`, asScript(await bundled(`commands/${command.name}/main.ts`)))
}
for (const name of readdirSync(target)) if (!written.has(name)) rmSync(join(target, name), { recursive: true })
