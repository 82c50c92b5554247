import { type Log, silentLog } from '../../lib/log.ts'
import { parseAddress } from './address.ts'
import type { AlgorithmNames } from './algorithm-list.ts'
import { opensshAlgorithmNames } from './algorithm-names.ts'
import { ConfigError } from './errors.ts'
import { type ParseSettings, problemAt } from './keyword.ts'
import { type ConfigLine, splitLine, splitLines } from './lexer.ts'
import { type MatchMachine, matchServerLine, type ServerConnection } from './match-server.ts'
import { OptionStore, ProblemList, type Setting } from './options.ts'
import { type ConfigReader, maxConfigFiles, maxIncludeDepth } from './resolve-ssh-config.ts'
import { commandLine } from './ssh-config.ts'
import { formerSshdKeywords, globalSpellings, type SshdOptions, sshdKeywords } from './sshd-config.ts'
import { defaultPenalties, type ListenAddress } from './sshd-values.ts'
import type { Environment } from './tokens.ts'
import { clearNone } from './values.ts'

/** All that the options of a server follow from. */
export interface SshdConfigInputs extends MatchMachine {
  /** Undefined reads no file. */
  readonly file: string | undefined
  /** Lines of `-o`, first wins. */
  readonly options?: readonly string[]
  /** `-p`: the ports of the file are passed over. */
  readonly ports?: readonly number[]
  readonly reader: ConfigReader
  readonly env: Environment
  absolutePath(path: string): string
  readonly algorithms?: AlgorithmNames
  readonly log?: Log
}

/** A server's options, and those of each connection to it. */
export interface SshdConfig extends SshdOptions {
  /**
   * The options for one connection: Match blocks that apply come before the global values (sshd_config(5), Match).
   * @throws ConfigError
   */
  forConnection(connection: ServerConnection): SshdOptions
  /** Every global line that set an option or tried to, in order. */
  readonly history: readonly Setting[]
}

const sshDirectory = '/etc/ssh'

/** A file with the files that its lines include, read once. */
interface ParsedFile {
  readonly path: string
  readonly lines: readonly ConfigLine[]
  readonly included: ReadonlyMap<ConfigLine, readonly ParsedFile[]>
}

interface Scope {
  active: boolean
  /** Inside an Include that does not apply: nothing can become active. */
  readonly never: boolean
  /** Before the first Match line of a reading for a connection. */
  beforeMatch: boolean
}

const hasMatch = ({ lines, included }: ParsedFile): boolean =>
  lines.some(({ keyword }) => keyword === 'match') || [...included.values()].flat().some(hasMatch)

class FileLoader {
  #opened = 0
  readonly #inputs: SshdConfigInputs

  constructor(inputs: SshdConfigInputs) {
    this.#inputs = inputs
  }

  load(path: string, depth: number): ParsedFile {
    if (depth > maxIncludeDepth) throw new ConfigError(path, 0, 'Too many recursive configuration includes')
    if (++this.#opened > maxConfigFiles) throw new ConfigError(path, 0, 'Too many configuration files')
    const outcome = this.#inputs.reader.read(path, { owner: false })
    if (!('text' in outcome)) throw new ConfigError(path, 0, `${path}: ${outcome.absent}`)
    const lines = splitLines(outcome.text, path)
    const included = new Map<ConfigLine, readonly ParsedFile[]>()
    for (const line of lines) {
      if (line.keyword === 'include' && line.words) included.set(line, this.#include(line, depth))
    }
    return { path, lines, included }
  }

  #include(line: ConfigLine, depth: number): ParsedFile[] {
    const patterns = (line.words ?? []).filter(word => word !== '')
    return patterns.flatMap(word => {
      const pattern = /^[/~]/.test(word) ? word : `${sshDirectory}/${word}`
      return this.#inputs.reader.glob(pattern).map(path => this.load(path, depth + 1))
    })
  }
}

/** One reading of all lines: of the global options, or of the Match blocks for a connection. */
class Reading {
  readonly store = new OptionStore(sshdKeywords)
  readonly #inputs: SshdConfigInputs
  readonly #connection: ServerConnection | undefined
  readonly #settings: ParseSettings
  readonly #log: Log

  constructor(inputs: SshdConfigInputs, connection: ServerConnection | undefined) {
    this.#inputs = inputs
    this.#connection = connection
    // What a second reading would log was logged by the first.
    this.#log = connection ? silentLog : (inputs.log ?? silentLog)
    this.#settings = {
      algorithms: inputs.algorithms ?? opensshAlgorithmNames,
      env: inputs.env,
      keywordsAsWritten: true,
      absolutePath: path => inputs.absolutePath(path),
    }
  }

  commandLineOptions(): void {
    if (this.#inputs.ports) this.store.set('port', this.#inputs.ports)
    const scope: Scope = { active: true, never: false, beforeMatch: false }
    for (const text of this.#inputs.options ?? []) {
      const line = splitLine(text, commandLine, 0)
      if (line) this.#process(line, scope, [])
    }
  }

  file(file: ParsedFile): void {
    const active = this.#connection === undefined
    this.#walk(file, { active, never: false, beforeMatch: !active })
  }

  #walk(file: ParsedFile, scope: Scope): void {
    const problems = new ProblemList(file.path)
    for (const line of file.lines) problems.run(() => this.#process(line, scope, file.included.get(line) ?? []))
    problems.finish()
  }

  #process(line: ConfigLine, scope: Scope, included: readonly ParsedFile[]): void {
    const { keyword, written, file } = line
    const fromCommandLine = file === commandLine
    if (line.rest === '') throw problemAt(line, `no argument after keyword "${written}"`)
    if (keyword === 'match') {
      if (fromCommandLine) throw new ConfigError(file, 0, 'Match directive not supported as a command-line option')
      const matched = matchServerLine(line, scope.never ? undefined : this.#connection, this.#inputs)
      scope.active = matched && !scope.never
      scope.beforeMatch = false
      return
    }
    if (keyword === 'include') {
      if (fromCommandLine) throw new ConfigError(file, 0, 'Include directive not supported as a command-line option')
      if (!line.words) throw problemAt(line, 'invalid quotes')
      if (line.words.includes('')) throw problemAt(line, `keyword ${written} empty argument`)
      const never = scope.never || !(scope.active || scope.beforeMatch)
      for (const inner of included) this.#walk(inner, { active: scope.active, never, beforeMatch: scope.beforeMatch })
      return
    }
    const property = this.store.propertyOf(keyword)
    const former = Object.hasOwn(formerSshdKeywords, keyword) ? formerSshdKeywords[keyword] : undefined
    if (property === undefined && !former) {
      throw new ConfigError(file, line.line, `${file}: line ${line.line}: Bad configuration option: ${written}`)
    }
    const row = property === undefined ? former! : sshdRow(property)
    const allowedInMatch = row.scope === 'match' && !globalSpellings.includes(keyword)
    if (!scope.active && !allowedInMatch) {
      if (this.#connection) return
      throw problemAt(line, `Directive '${written}' is not allowed within a Match block`)
    }
    if (property === undefined) {
      const text = `${file} line ${line.line}: ${former!.fate === 'unsupported' ? 'Unsupported' : 'Deprecated'} option ${written}`
      if (former!.fate === 'ignored') this.#log.debug2?.(text)
      else this.#log.info?.(text)
    } else if (property !== 'port' || !this.#inputs.ports) {
      this.store.apply(property, line, scope.active, this.#settings)
    }
  }
}

const sshdRow = (property: string): { readonly scope: 'global' | 'match' } =>
  sshdKeywords[property as keyof typeof sshdKeywords]

const clearedByNone = [
  'pidFile',
  'xAuthLocation',
  'banner',
  'trustedUserCAKeys',
  'securityKeyProvider',
  'authorizedPrincipalsFile',
  'forceCommand',
  'chrootDirectory',
  'hostKeyAgent',
  'perSourcePenaltyExemptList',
  'authorizedKeysCommand',
  'authorizedPrincipalsCommand',
] as const

/** Defaults where nothing is set: `get` gives what is. */
function complete(get: (property: string) => unknown, inputs: SshdConfigInputs): SshdOptions {
  const algorithms = inputs.algorithms ?? opensshAlgorithmNames
  const values = Object.fromEntries(
    Object.entries(sshdKeywords).map(([property, row]) => [property, get(property) ?? row.default]),
  ) as unknown as SshdOptions
  const isSet = (property: keyof SshdOptions): boolean => get(property) !== undefined
  if (!isSet('pidFile')) values.pidFile = '/var/run/sshd.pid'
  if (!isSet('xAuthLocation')) values.xAuthLocation = '/usr/bin/xauth'
  if (!isSet('securityKeyProvider')) values.securityKeyProvider = 'internal'
  if (!isSet('sshdSessionPath')) values.sshdSessionPath = '/usr/lib/openssh/sshd-session'
  if (!isSet('sshdAuthPath')) values.sshdAuthPath = '/usr/lib/openssh/sshd-auth'
  if (!isSet('ciphers')) values.ciphers = algorithms.cipher.defaults
  if (!isSet('macs')) values.macs = algorithms.mac.defaults
  if (!isSet('kexAlgorithms')) values.kexAlgorithms = algorithms.serverKex.defaults
  if (!isSet('caSignatureAlgorithms')) values.caSignatureAlgorithms = algorithms.caSignature.defaults
  for (const property of ['hostKeyAlgorithms', 'pubkeyAcceptedAlgorithms', 'hostbasedAcceptedAlgorithms'] as const) {
    if (!isSet(property)) values[property] = algorithms.signature.defaults
  }
  for (const property of clearedByNone) values[property] = clearNone(values[property])
  for (const property of ['authorizedKeysFile', 'revokedKeys'] as const) {
    if (values[property][0]?.toLowerCase() === 'none') values[property] = []
  }
  values.hostKey = values.hostKey.filter(file => file.toLowerCase() !== 'none')
  values.hostCertificate = values.hostCertificate.filter(file => file.toLowerCase() !== 'none')
  const penalties = get('perSourcePenalties') as Partial<SshdOptions['perSourcePenalties']> | undefined
  values.perSourcePenalties = { ...defaultPenalties, ...penalties }
  if (penalties?.overflow6 === undefined) {
    values.perSourcePenalties = { ...values.perSourcePenalties, overflow6: values.perSourcePenalties.overflow }
  }
  values.listenAddress = listenPlaces(values)
  return values
}

/** Every address with every port that it listens on, of the families that AddressFamily allows. */
function listenPlaces(values: SshdOptions): ListenAddress[] {
  const family = values.addressFamily
  const wildcards = [...(family === 'inet' ? [] : ['::']), ...(family === 'inet6' ? [] : ['0.0.0.0'])]
  if (values.listenAddress.length === 0) {
    return values.port.flatMap(port => wildcards.map(host => ({ host, port, routingDomain: undefined })))
  }
  return values.listenAddress.flatMap(address => {
    const length = parseAddress(address.host)?.bytes.length
    if ((length === 4 && family === 'inet6') || (length === 16 && family === 'inet')) {
      const reason = 'Address family for hostname not supported'
      throw new ConfigError('', 0, `bad addr or host: ${address.host} (${reason})`)
    }
    if (address.port !== 0) return [address]
    return values.port.map(port => ({ ...address, port }))
  })
}

/** What sshd refuses to start with. */
function checkConsistency(values: SshdOptions, file: string): void {
  const refuse = (text: string): never => {
    throw new ConfigError(file, 0, text)
  }
  if (values.authorizedKeysCommand !== undefined && values.authorizedKeysCommandUser === undefined) {
    refuse('AuthorizedKeysCommand set without AuthorizedKeysCommandUser')
  }
  if (values.authorizedPrincipalsCommand !== undefined && values.authorizedPrincipalsCommandUser === undefined) {
    refuse('AuthorizedPrincipalsCommand set without AuthorizedPrincipalsCommandUser')
  }
  const enabled: Readonly<Record<string, boolean>> = {
    publickey: values.pubkeyAuthentication,
    'publickey-hostbound-v00@openssh.com': values.pubkeyAuthentication,
    password: values.passwordAuthentication,
    'keyboard-interactive': values.kbdInteractiveAuthentication,
    hostbased: values.hostbasedAuthentication,
    'gssapi-with-mic': values.gssapiAuthentication,
    none: true,
  }
  const lists = values.authenticationMethods
  const possible = (list: string): boolean => list.split(',').every(method => enabled[method.replace(/:.*/s, '')])
  if (lists.length > 0 && !lists.some(possible)) {
    refuse('AuthenticationMethods cannot be satisfied by enabled authentication methods')
  }
}

/** Outcomes of Match blocks that are remembered: as a rule there are a handful. */
const knownLimit = 100

/**
 * The options of a server.
 * @throws ConfigError with everything that is wrong.
 */
export function resolveSshdConfig(inputs: SshdConfigInputs): SshdConfig {
  const file = inputs.file === undefined ? undefined : new FileLoader(inputs).load(inputs.file, 0)
  const reading = new Reading(inputs, undefined)
  reading.commandLineOptions()
  if (file) reading.file(file)
  const global = complete(property => reading.store.get(property), inputs)
  checkConsistency(global, inputs.file ?? commandLine)
  const depends = file !== undefined && hasMatch(file)
  // Most connections have the same options as others: they share them.
  const known = new Map<string, SshdOptions>()
  return {
    ...global,
    history: reading.store.history,
    forConnection(connection) {
      if (!depends) return global
      const matched = new Reading(inputs, connection)
      matched.file(file)
      const outcome = JSON.stringify(matched.store.entries())
      const same = known.get(outcome)
      if (same) return same
      const options = complete(
        property => combine(property, matched.store.get(property), reading.store.get(property)),
        inputs,
      )
      if (known.size >= knownLimit) known.clear()
      known.set(outcome, options)
      return options
    },
  }
}

/** What a Match block sets stands before the global value; some values are joined. */
function combine(property: string, matched: unknown, global: unknown): unknown {
  if (matched === undefined || sshdRow(property).scope !== 'match') return global
  if (property === 'rekeyLimit')
    return sshdKeywords.rekeyLimit.merge?.(matched as never, (global ?? {}) as never, () => undefined)
  if (property === 'subsystem') {
    const overriding = matched as SshdOptions['subsystem']
    const kept = (global ?? []) as SshdOptions['subsystem']
    const replaced = kept.map(item => overriding.find(other => other.name === item.name) ?? item)
    return [...replaced, ...overriding.filter(item => !kept.some(other => other.name === item.name))]
  }
  return matched
}
