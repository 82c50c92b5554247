import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
// @ts-expect-error a script without types
import { generate, modules } from '../../lib/crypto/wasm/build.js'
import { wasmInstance } from '../../lib/crypto/wasm/instance.ts'

const build = generate as (name: string) => Promise<string>

test.each(Object.keys(modules as object))('%s.wasm.ts is what its source builds to', async name => {
  const file = fileURLToPath(new URL(`../../lib/crypto/wasm/${name}.wasm.ts`, import.meta.url))
  expect(readFileSync(file, 'utf8')).toBe(await build(name))
})

test('a module that cannot be instantiated is missing, not an error', () => {
  expect(wasmInstance('AGFzbQIAAAA=')).toBeUndefined()
})
