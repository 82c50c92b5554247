/** What is used of the JavaScript interface of WebAssembly, which Node's types leave out. */
interface Engine {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** A number that a module exports. */
export interface WasmConstant {
  readonly value: number
}

/** What every module exports: its memory, which never grows. */
export interface WasmMemory {
  readonly memory: { readonly buffer: ArrayBuffer }
}

/**
 * An instance of a built module (build.js), or undefined where WebAssembly or its SIMD is missing. It is made at once:
 * a few KiB take less than a millisecond.
 */
export function wasmInstance<Exports extends WasmMemory>(binary: string): Exports | undefined {
  const engine = (globalThis as { WebAssembly?: Engine }).WebAssembly
  if (!engine) return undefined
  try {
    return new engine.Instance(new engine.Module(Buffer.from(binary, 'base64'))).exports as Exports
  } catch {
    return undefined
  }
}
