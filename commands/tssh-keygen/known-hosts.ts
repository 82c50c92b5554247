import { constants, copyFileSync, linkSync, realpathSync, rmSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { type HashedNameFinder, hashedNameFinder } from '../../lib/crypto/hashed-names.ts'
import { messageOf, sanitize } from '../../lib/errors.ts'
import { fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import { readRegularFile, readWholeLines, replaceFile } from '../../src/openssh/files.ts'
import { hashName, hostMatcher, linesOf } from '../../src/openssh/known-hosts.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { inSyllables } from './fingerprints.ts'
import { readKeyLine } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { complain, print } from './terminal.ts'

const fileLimit = 256 * 1024 * 1024

/** A line as ssh-keygen sees it. */
interface Line {
  readonly raw: string
  /** From 1. */
  readonly number: number
  /** `comment`: empty or a comment. `invalid`: it has no sense, and stays. */
  readonly status: 'comment' | 'invalid' | 'entry'
  readonly marker: 'none' | 'CA' | 'REVOKED'
  readonly hosts: string
  /** From the key type on. */
  readonly key: string
}

function readLine(raw: string, number: number): Line {
  const line = (status: Line['status'], fields: Partial<Line> = {}): Line => ({
    raw,
    number,
    status,
    marker: 'none',
    hosts: '',
    key: '',
    ...fields,
  })
  if (/^[ \t]*(#|$)/.test(raw)) return line('comment')
  const [, markers = '', hosts = '', key = ''] = /^[ \t]*((?:@\S*[ \t]+)*)(\S+)[ \t]+(.*)$/s.exec(raw) ?? []
  const [first, ...more] = markers.trim().split(/[ \t]+/)
  const marker =
    first === '' ? 'none' : first === '@cert-authority' ? 'CA' : first === '@revoked' ? 'REVOKED' : undefined
  if (marker === undefined || more.length > 0) return line('invalid')
  const [, type = '', rest = ''] = /^(\S+)[ \t]+(.*)$/s.exec(key) ?? []
  const valid = type.length > 1 && type.length < 128 && rest !== '' && !rest.startsWith('#') && !/^\d{1,7}$/.test(type)
  if (hosts === '' || !valid || !/^[\x21-\x7e]+$/.test(type)) return line('invalid', { hosts })
  return line('entry', { marker, hosts, key })
}

/** The lines that `linesOf` gives. @returns the number of the last line */
function* readLines(text: string, finder?: HashedNameFinder, before?: number): Generator<Line, number> {
  const lines = linesOf(text, finder, before)
  let next = lines.next()
  for (; !next.done; next = lines.next()) {
    const { line, start, end } = next.value
    yield readLine(text.slice(start, end), line)
  }
  return next.value
}

/** The lines of a file, but for those that hold the hash of another host. The file is never in memory as a whole. */
function* readLinesFor(host: string, file: string): Generator<Line> {
  const finder = hashedNameFinder(Buffer.from(host))
  let before = 0
  for (const text of readWholeLines(file, fileLimit)) before = yield* readLines(text, finder, before)
}

/** -F, -R and -H: finds a host, removes it, or makes its names unreadable. */
export async function editKnownHosts(settings: Settings): Promise<number> {
  const { flags, text } = settings
  const file = settings.file ?? `${userInfo().homedir}/.ssh/known_hosts`
  try {
    statSync(file)
  } catch (error) {
    fatal(`Cannot stat ${file}: ${systemErrorText(error) ?? messageOf(error)}`)
  }
  try {
    if (flags.has('F')) return await find(text.get('F')!, file, settings)
    const contents = readRegularFile(file, fileLimit).toString('latin1')
    if (flags.has('R')) return remove(contents, text.get('R')!, file, settings)
    return hashNames(contents, file)
  } catch (error) {
    const reason = systemErrorText(error)
    if (reason === undefined) throw error
    return fatal(`hostkeys_foreach failed: ${reason}`)
  }
}

/** Lines are bytes: they go out as they came in. */
const printRaw = (line: string): void => {
  process.stdout.write(Buffer.from(`${line}\n`, 'latin1'))
}

async function find(host: string, file: string, settings: Settings): Promise<number> {
  const { flags, quiet } = settings
  const matches = hostMatcher(host)
  let found = false
  for (const line of readLinesFor(host, file)) {
    if (line.status !== 'entry' || !matches(line.hosts)) continue
    const key = flags.has('l') ? readKeyLine(Buffer.from(line.key, 'latin1').toString()) : undefined
    if (flags.has('l') && !key) continue
    found = true
    if (!quiet) print(`# Host ${host} found: line ${line.number} ${line.marker === 'none' ? '' : line.marker}\n`)
    if (flags.has('H')) for (const hashed of hashLine(line, file, true)) printRaw(hashed)
    else if (key) {
      const shown = flags.has('B')
        ? await inSyllables(key.key.blob)
        : fingerprint(key.key.blob, settings.fingerprintHash)
      print(`${host} ${key.label} ${shown}${key.comment === '' ? '' : ` ${sanitize(key.comment, true)}`}\n`)
      if (settings.verbosity > 0) {
        const picture = { blob: key.key.blob, bits: key.key.bits, label: key.label }
        print(`${randomart(picture, settings.fingerprintHash)}\n`)
      }
    } else printRaw(line.raw)
  }
  return found ? 0 : 1
}

function remove(contents: string, host: string, file: string, { quiet }: Settings): number {
  const matches = hostMatcher(host)
  const kept: string[] = []
  let removed = false
  let invalid = false
  for (const line of readLines(contents)) {
    if (line.status === 'entry' && line.marker === 'none' && matches(line.hosts)) {
      removed = true
      if (!quiet) print(`# Host ${host} found: line ${line.number}\n`)
      continue
    }
    if (line.status === 'invalid') {
      invalid = true
      complain(`${file}:${line.number}: invalid line`)
    }
    kept.push(line.raw)
  }
  if (invalid) return refuseInvalid(file)
  if (!removed) {
    complain(`Host ${host} not found in ${file}`)
    return 0
  }
  return replace(file, kept)
}

function hashNames(contents: string, file: string): number {
  const kept: string[] = []
  let hadNames = false
  let invalid = false
  for (const line of readLines(contents)) {
    if (line.status === 'invalid') {
      invalid = true
      complain(`${file}:${line.number}: invalid line`)
    }
    const hashed = line.status === 'entry' ? hashLine(line, file, false) : [line.raw]
    if (hashed[0] !== line.raw) hadNames = true
    kept.push(...hashed)
  }
  if (invalid) return refuseInvalid(file)
  const status = replace(file, kept)
  if (status === 0 && hadNames) {
    complain(`WARNING: ${file}.old contains unhashed entries`)
    complain('Delete this file to ensure privacy of hostnames')
  }
  return status
}

/** One line for each name. What has a marker, a wildcard or a hash already stays. */
function hashLine({ raw, number, hosts, marker, key }: Line, file: string, finding: boolean): string[] {
  const wild = /[*?!]/.test(hosts)
  if (wild && !finding) complain(`${file}:${number}: ignoring host name with wildcard: ${hosts.slice(0, 64)}`)
  if (wild || hosts.startsWith('|') || marker !== 'none') return [raw]
  const names = hosts.split(',')
  const end = names.indexOf('')
  return names.slice(0, end < 0 ? undefined : end).map(name => `${hashName(name.toLowerCase())} ${key}`)
}

function refuseInvalid(file: string): number {
  complain(`${file} is not a valid known_hosts file.`)
  complain('Not replacing existing known_hosts file because of errors')
  return 1
}

/** Gives a file another name, or that name to a copy of it, where the other place takes no link. */
function keepAs(name: string, file: string): void {
  rmSync(name, { force: true })
  try {
    linkSync(file, name)
  } catch {
    copyFileSync(file, name, constants.COPYFILE_EXCL)
  }
}

/** Puts the new lines in place at once; the old file stays as `.old`. */
function replace(file: string, lines: readonly string[]): number {
  const old = `${file}.old`
  try {
    keepAs(old, realpathSync(file))
    replaceFile(file, lines.map(line => `${line}\n`).join(''), 0o600, 0o644)
  } catch (error) {
    return fatal(`cannot replace ${file}: ${systemErrorText(error) ?? messageOf(error)}`)
  }
  print(`${file} updated.\nOriginal contents retained as ${old}\n`)
  return 0
}
