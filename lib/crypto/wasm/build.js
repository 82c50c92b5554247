/**
 * Builds the WebAssembly modules: `source/<name>.ts` (AssemblyScript) becomes `<name>.wasm.ts`, a module that exports
 * the binary as base64 text. What is built is committed, so that tests and bundles need no build; a test builds again
 * and compares.
 *
 * To add one: write `source/<name>.ts`, add its name to `modules`, run `npm run build:wasm`, and get its exports with
 * `wasmInstance` (instance.ts) in the file of lib/crypto that offers the primitive, beside a version without WebAssembly or
 * with one among the tests.
 * Memory is fixed: `memory.data` for buffers, no allocation. Secrets are wiped before a call returns.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../../..')

/** Names, and pages of 64 KiB. */
export const modules = {
  'chacha20-poly1305': { pages: 2 },
  umac: { pages: 2 },
  bcrypt: { pages: 1 },
  'hashed-names': { pages: 2 },
  sntrup761: { pages: 1 },
  mlkem: { pages: 1 },
}

const options = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort=']

/** What a module was built from; a change of it makes `npm run build` build it again. */
function fingerprint(name) {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const hash = createHash('sha256').update(JSON.stringify([devDependencies.assemblyscript, options, modules[name]]))
  for (const source of sourcesOf(name, new Set())) hash.update(readFileSync(source))
  return hash.digest('hex').slice(0, 16)
}

/** The module's source and what it imports. */
function sourcesOf(name, found) {
  const file = join(here, 'source', `${name}.ts`)
  if (found.has(file)) return found
  found.add(file)
  for (const [, imported] of readFileSync(file, 'utf8').matchAll(/from '\.\/([\w-]+)'/g)) sourcesOf(imported, found)
  return found
}

/** The text of a generated module. */
export async function generate(name) {
  const { default: asc } = await import('assemblyscript/asc')
  const pages = String(modules[name].pages)
  let binary
  const { error, stderr } = await asc.main(
    [
      relative(process.cwd(), join(here, 'source', `${name}.ts`)),
      ...['--outFile', 'module.wasm', '--initialMemory', pages, '--maximumMemory', pages],
      ...options,
    ],
    {
      writeFile(_name, contents) {
        binary = contents
      },
    },
  )
  if (error) throw new Error(`${name}: ${error.message}\n${stderr}`)
  const text = Buffer.from(binary).toString('base64')
  return `/** Built from source/${name}.ts by build.js (sources ${fingerprint(name)}). Not to be edited. */
export const binary =
  '${text}'
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of Object.keys(modules)) {
    const file = join(here, `${name}.wasm.ts`)
    const present = readdirSync(here).includes(`${name}.wasm.ts`) ? readFileSync(file, 'utf8') : ''
    if (present.includes(`(sources ${fingerprint(name)})`)) continue
    writeFileSync(file, await generate(name))
    console.log(`built ${relative(root, file)}`)
  }
}
