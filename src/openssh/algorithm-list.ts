import { ConfigError } from './errors.ts'
import { matchPattern, matchPatternList } from './pattern.ts'

/** One kind of algorithm as configuration sees it: names only. */
export interface AlgorithmChoice {
  /** Used when nothing is configured, best first. */
  readonly defaults: readonly string[]
  /** All that exist, in the order in which a wildcard gives them. */
  readonly supported: readonly string[]
}

/** The names that Ciphers, MACs, KexAlgorithms and the signature keywords may use. */
export interface AlgorithmNames {
  readonly cipher: AlgorithmChoice
  readonly mac: AlgorithmChoice
  /** Proposed by a client. */
  readonly kex: AlgorithmChoice
  /** Proposed by a server. */
  readonly serverKex: AlgorithmChoice
  /** Signature algorithms of keys and certificates: HostKeyAlgorithms, PubkeyAcceptedAlgorithms and the like. */
  readonly signature: AlgorithmChoice
  /** Signature algorithms of plain keys: CASignatureAlgorithms. */
  readonly caSignature: AlgorithmChoice
}

function names(list: string): string[] {
  const end = `${list},`.indexOf(',,')
  return (end < 0 ? list : list.slice(0, end)).split(',').filter(name => name !== '')
}

/**
 * The algorithms that a list of ssh_config means: an explicit list, `+` appended to the defaults, `-` patterns taken
 * from them, `^` put before them. Each name may be a wildcard over `supported`; what is not supported falls out.
 * @throws ConfigError, without a file, when a positive list is left empty or negates.
 */
export function selectAlgorithms(spec: string, defaults: readonly string[], supported: readonly string[]): string[] {
  if (spec === '') return [...defaults]
  const operator = '+-^'.includes(spec[0]!) ? spec[0]! : ''
  const list = operator === '' ? spec : spec.slice(1)
  if (operator === '-') return defaults.filter(name => matchPatternList(name, list) !== 'match')
  const patterns =
    operator === '+' ? [...defaults, ...names(list)] : operator === '^' ? [...names(list), ...defaults] : names(list)
  if (patterns.some(pattern => pattern.startsWith('!'))) throw new ConfigError('', 0, `negation in list '${spec}'`)
  const chosen = new Set(patterns.flatMap(pattern => supported.filter(name => matchPattern(name, pattern))))
  if (chosen.size === 0) throw new ConfigError('', 0, `no algorithm left of '${spec}'`)
  return [...chosen]
}

/**
 * Whether every name of a list exists. Ciphers, MACs and key exchanges must be named in full; only signature
 * algorithms may be wildcards. A list that takes away (`-`) is never wrong.
 */
export function validAlgorithmSpec(
  spec: string,
  supported: readonly string[],
  wildcards: 'allowed' | 'refused',
): boolean {
  if (spec.startsWith('-')) return true
  const list = names(/^[+^]/.test(spec) ? spec.slice(1) : spec)
  if (list.length === 0) return false
  return list.every(
    name => supported.includes(name) || (wildcards === 'allowed' && supported.some(known => matchPattern(known, name))),
  )
}
