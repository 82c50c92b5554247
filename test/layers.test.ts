import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Layers of the engine, outermost first: a layer may import itself and those after it, on a line of their own not sideways. */
const engineOrder: readonly (readonly string[])[] = [
  ['lib/index.ts'],
  ['lib/client.ts', 'lib/server.ts'],
  ['lib/scp'],
  ['lib/sftp', 'lib/agent', 'lib/connection'],
  ['lib/userauth'],
  ['lib/transport'],
  ['lib/keys'],
  ['lib/algorithms'],
  ['lib/crypto'],
  ['lib/wire'],
]

const hostOrder: readonly (readonly string[])[] = [
  ['src/index.ts'],
  ['src/api'],
  ['src/connect'],
  ['src/identity', 'src/hostkeys', 'src/screens'],
  ['src/openssh', 'src/sftp', 'src/net', 'src/terminal', 'src/command'],
  ['src/native'],
]

/** Packages and Node modules that only these places may import. */
const homes: readonly { readonly module: RegExp; readonly allowed: readonly string[] }[] = [
  { module: /^@noble\//, allowed: ['lib/crypto'] },
  { module: /^node:(crypto|zlib)$/, allowed: ['lib/crypto', 'src', 'commands'] },
  { module: /^pako/, allowed: ['lib/algorithms/compression'] },
  {
    module: /^node:(net|tls|fs|fs\/promises|child_process|os|tty|dns|dns\/promises|dgram|readline|http)$/,
    allowed: ['src', 'commands'],
  },
  { module: /^koffi$/, allowed: ['src/native'] },
  { module: /^cli-progress$/, allowed: ['src/terminal'] },
  { module: /^node-pty$/, allowed: ['src/native/fork-pty.ts'] },
  { module: /^(ink|react)/, allowed: ['src/screens'] },
  { module: /^commander$/, allowed: ['src/command/options.ts'] },
]

interface Import {
  readonly from: string
  readonly specifier: string
  /** Path below the root for a relative import. */
  readonly target: string | undefined
}

const sources = ['lib', 'src', 'commands'].flatMap(house =>
  readdirSync(join(root, house), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.tsx?$/.test(name))
    .map(name => join(house, name)),
)

/** What a module rests on: its imports at the beginning of a line, those of types too; not what it loads while it runs. */
const restsOn: ReadonlyMap<string, readonly string[]> = new Map(
  sources.map(path => [
    path,
    [
      ...readFileSync(join(root, path), 'utf8').matchAll(/^(?:import|export)\b(?:[^'"()=;]*?\bfrom)?\s*'(\.[^']+)'/gm),
    ].map(([, specifier = '']) => join(dirname(path), specifier)),
  ]),
)

const imports: Import[] = sources.flatMap(from =>
  [...readFileSync(join(root, from), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    ([, specifier = '']) => ({
      from,
      specifier,
      target: specifier.startsWith('.') ? relative(root, join(root, dirname(from), specifier)) : undefined,
    }),
  ),
)

const inside = (path: string, place: string): boolean => path === place || path.startsWith(`${place}/`)

const rank = (order: readonly (readonly string[])[], path: string): { level: number; place: string } | undefined => {
  for (const [level, places] of order.entries()) {
    const place = places.find(candidate => inside(path, candidate))
    if (place) return { level, place }
  }
  return undefined
}

function outwardOrSideways(order: readonly (readonly string[])[], { from, target }: Import): boolean {
  const importer = rank(order, from)
  const imported = target === undefined ? undefined : rank(order, target)
  if (!importer || !imported) return false
  return imported.level < importer.level || (imported.level === importer.level && imported.place !== importer.place)
}

const describeImport = ({ from, specifier }: Import): string => `${from} imports ${specifier}`

test('there is something to check', () => {
  expect(imports.length).toBeGreaterThan(100)
})

test('the engine imports inwards only', () => {
  expect(imports.filter(entry => outwardOrSideways(engineOrder, entry)).map(describeImport)).toEqual([])
})

test('the host imports inwards only', () => {
  // Parsers share command-line errors and terminals share nothing; places on one line may use one another there.
  const offending = imports.filter(entry => {
    const importer = rank(hostOrder, entry.from)
    const imported = entry.target === undefined ? undefined : rank(hostOrder, entry.target)
    return importer !== undefined && imported !== undefined && imported.level < importer.level
  })
  expect(offending.map(describeImport)).toEqual([])
})

test('houses: bin → commands/<x> → src → lib', () => {
  const house = (path: string): string => path.split('/')[0] ?? ''
  const depth = ['commands', 'src', 'lib']
  const offending = imports.filter(({ from, target }) => {
    if (target === undefined) return false
    if (depth.indexOf(house(target)) < depth.indexOf(house(from))) return true
    return house(from) === 'commands' && house(target) === 'commands' && from.split('/')[1] !== target.split('/')[1]
  })
  expect(offending.map(describeImport)).toEqual([])
})

test('no module rests on itself: there is no circle among the imports', () => {
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' → '))
    if (way.includes(path) || done.has(path)) return
    for (const next of restsOn.get(path) ?? []) visit(next, [...way, path])
    done.add(path)
  }
  for (const path of sources) visit(path, [])
  expect([...restsOn.values()].flat().length).toBeGreaterThan(500)
  expect(circles).toEqual([])
})

test('packages and machine modules stay in their homes', () => {
  const offending = imports.filter(({ from, specifier }) =>
    homes.some(({ module, allowed }) => module.test(specifier) && !allowed.some(place => inside(from, place))),
  )
  expect(offending.map(describeImport)).toEqual([])
})

test('the engine has no process, no console and no `any`', () => {
  const offending = sources
    .filter(path => inside(path, 'lib') && !inside(path, 'lib/crypto/wasm'))
    .filter(path =>
      /(?<![/\w])process\.|\bconsole\.|: any\b|<any>|\bas any\b/.test(
        readFileSync(join(root, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''),
      ),
    )
  expect(offending).toEqual([])
})
