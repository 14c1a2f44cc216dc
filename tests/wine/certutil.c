/*
 * The two verbs of certutil.exe that are part of every Windows and missing in Wine: -hashfile FILE [ALGORITHM], in the
 * words Windows 10 prints, which refuses an empty file, and -decode SOURCE TARGET, which refuses a target that is there.
 * Both by the system's own cryptography.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <wincrypt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

static BYTE *content(const wchar_t *path, DWORD *size)
{
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return NULL;
    *size = GetFileSize(file, NULL);
    BYTE *data = calloc(*size + 1, 1);
    if (!ReadFile(file, data, *size, size, NULL)) {
        free(data);
        data = NULL;
    }
    CloseHandle(file);
    return data;
}

/* A line in the code page of the console, or of the system where there is none. */
static void print(const wchar_t *format, ...)
{
    wchar_t line[1024];
    char bytes[4096];
    va_list arguments;
    va_start(arguments, format);
    _vsnwprintf(line, 1023, format, arguments);
    va_end(arguments);
    line[1023] = 0;
    UINT page = GetConsoleOutputCP();
    int length = WideCharToMultiByte(page ? page : GetOEMCP(), 0, line, -1, bytes, sizeof bytes, NULL, NULL);
    DWORD written;
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), bytes, length ? length - 1 : 0, &written, NULL);
}

static int failed(const wchar_t *verb)
{
    DWORD code = HRESULT_FROM_WIN32(GetLastError());
    print(L"CertUtil: -%ls command FAILED: 0x%08lx (WIN32: %lu)\r\n", verb, code, GetLastError());
    return (int)code;
}

static int hash_file(const wchar_t *path, const wchar_t *algorithm)
{
    DWORD size, length = 64;
    BYTE digest[64], *data = content(path, &size);
    ALG_ID id = !_wcsicmp(algorithm, L"SHA256") ? CALG_SHA_256 : !_wcsicmp(algorithm, L"MD5") ? CALG_MD5 : CALG_SHA1;
    HCRYPTPROV provider;
    HCRYPTHASH hash;
    if (!data)
        return failed(L"hashfile");
    if (!size) {
        SetLastError(ERROR_FILE_INVALID);
        return failed(L"hashfile");
    }
    if (!CryptAcquireContextW(&provider, NULL, NULL, PROV_RSA_AES, CRYPT_VERIFYCONTEXT) ||
        !CryptCreateHash(provider, id, 0, 0, &hash) || !CryptHashData(hash, data, size, 0) ||
        !CryptGetHashParam(hash, HP_HASHVAL, digest, &length, 0))
        return failed(L"hashfile");
    print(L"%ls hash of %ls:\r\n", algorithm, path);
    for (DWORD i = 0; i < length; i++)
        print(L"%02x", digest[i]);
    print(L"\r\nCertUtil: -hashfile command completed successfully.\r\n");
    return 0;
}

static int decode(const wchar_t *source, const wchar_t *target)
{
    DWORD size, length = 0, written;
    BYTE *data = content(source, &size);
    if (!data)
        return failed(L"decode");
    BYTE *decoded = malloc(size + 1);
    length = size + 1;
    if (!CryptStringToBinaryA((char *)data, size, CRYPT_STRING_BASE64_ANY, decoded, &length, NULL, NULL))
        return failed(L"decode");
    HANDLE file = CreateFileW(target, GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    if (file == INVALID_HANDLE_VALUE || !WriteFile(file, decoded, length, &written, NULL))
        return failed(L"decode");
    CloseHandle(file);
    print(L"Input Length = %lu\r\nOutput Length = %lu\r\nCertUtil: -decode command completed successfully.\r\n", size,
            length);
    return 0;
}

int wmain(int count, wchar_t **arguments)
{
    if (count >= 3 && !_wcsicmp(arguments[1], L"-hashfile"))
        return hash_file(arguments[2], count > 3 ? arguments[3] : L"SHA1");
    if (count == 4 && !_wcsicmp(arguments[1], L"-decode"))
        return decode(arguments[2], arguments[3]);
    print(L"CertUtil: Unknown command\r\n");
    return (int)0x80070057;
}
