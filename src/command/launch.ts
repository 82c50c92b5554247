import { readFileSync, statSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Script } from 'node:vm'
import { CodeCache, type CompiledCode } from './code-cache.ts'
import type { Main } from './run.ts'
import { versionLine } from './version.ts'

/** What a bundle exports. */
interface Command {
  readonly main: Main
  run(main: Main): Promise<void>
}

/** What the text of a bundle evaluates to (build.js). */
type Bundle = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  folder: string,
  /** Told the name of each part before it first runs; gives the name back. */
  part: (name: string) => string,
  /** Loads a module beside the bundle. */
  load: (specifier: string) => Promise<unknown>,
) => void

/** Milliseconds. */
const longRun = 5000

/** How each command is asked for its version; OpenSSH's others do not know theirs. */
const versionFlags: Readonly<Record<string, string>> = {
  tssh: '-V',
  tsshd: '-V',
  tsftp: '-V',
  'tsftp-server': '-V',
  'tssh-agent': '-V',
  'tssh-keygen': '--version',
}

/**
 * Runs a command from its bundle, `<command>.cjs` in this folder. To compile it would take longer than most runs do,
 * hence what V8 compiled is kept (Node's own cache would be in a folder that others can write to, and Node 20 has none). It
 * is kept anew when a part ran that no run before had needed.
 */
export function launch(folder: string, command: string): void {
  const [first, ...more] = process.argv.slice(2)
  if (first !== undefined && more.length === 0 && first === versionFlags[command]) printVersion()
  else runBundle(join(folder, `${command}.cjs`), command)
}

/** A version needs no bundle, and no stream. */
function printVersion(): void {
  const line = `${versionLine()}\n`
  try {
    writeSync(2, line)
  } catch {
    process.stderr.write(line)
  }
}

function runBundle(path: string, command: string): void {
  const text = readFileSync(path, 'latin1')
  const cache = CodeCache.ofUser()
  // The first line names the contents: V8 itself compares no more than the length of the text.
  const contents = /^\/\/ ([0-9a-f]{32})\n/.exec(text)?.[1]
  const name = contents && cache ? `${command}-${contents}-${engine()}` : ''
  const compiled = name ? cache?.read(name) : undefined
  const script = new Script(text, {
    filename: path,
    ...(compiled && { cachedData: compiled.code }),
  })
  const parts = new Set(script.cachedDataRejected === false ? compiled?.parts : undefined)
  if (cache && name) keepNew(parts, script, code => cache.write(name, code, `${command}-`))
  const module: { exports: object } = { exports: {} }
  const bundle = script.runInThisContext() as Bundle
  const ran = (part: string): string => {
    parts.add(part)
    return part
  }
  bundle(module.exports, createRequire(path), module, path, dirname(path), ran, specifier => import(specifier))
  const { main, run } = module.exports as Command
  void run(main)
}

/** Another build of Node may have another V8 under the same version, and V8 looks at no more than that. */
function engine(): string {
  const build = statSync(process.execPath, { throwIfNoEntry: false })
  const mark = build ? `${build.size.toString(36)}-${Math.trunc(build.mtimeMs).toString(36)}` : 'unknown'
  return `${process.arch}-${process.versions.v8}-${mark}`
}

/** Hands over the compiled code if new parts ran: at the end, or in a long run before V8 drops what ran only once. */
function keepNew(parts: ReadonlySet<string>, script: Script, keep: (code: CompiledCode) => void): void {
  const known = parts.size
  const save = (): void => {
    clearTimeout(timer)
    process.off('exit', save)
    if (parts.size > known) keep({ code: script.createCachedData(), parts: [...parts] })
  }
  const timer = setTimeout(save, longRun)
  timer.unref()
  process.once('exit', save)
}
