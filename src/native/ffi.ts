import { createRequire } from 'node:module'

/** The koffi package, which calls C functions. */
export type Koffi = typeof import('koffi').default

/** A feature needs a C library that cannot be called here. */
export class NativeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NativeError'
  }
}

let loaded: Koffi | undefined

/** Loads koffi, an optional dependency, when it is first needed. @throws NativeError when it is not installed */
export function foreignFunctions(): Koffi {
  try {
    loaded ??= createRequire(import.meta.url)('koffi') as Koffi
    return loaded
  } catch (error) {
    throw new NativeError('the optional package koffi, which calls system libraries, cannot be loaded', {
      cause: error,
    })
  }
}

/** Names that a library has on the systems we know, the first that loads. @throws NativeError */
export function loadLibrary(...names: readonly string[]): ReturnType<Koffi['load']> {
  const koffi = foreignFunctions()
  for (const name of names) {
    try {
      return koffi.load(name)
    } catch {
      // The next name may be this system's.
    }
  }
  throw new NativeError(`${names[0]} cannot be loaded`)
}

const libcNames =
  process.platform === 'darwin' ? ['libSystem.dylib'] : ['libc.so.6', 'libc.so', 'libc.musl-x86_64.so.1']

/** The C library. @throws NativeError */
export const loadLibc = (): ReturnType<Koffi['load']> => loadLibrary(...libcNames)
