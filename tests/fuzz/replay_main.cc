/* Runs a fuzz target over files and folders of files, without libFuzzer: corpora are tests in every build. A run that
 * finds no input fails: a moved corpus must not look like a passed one. */
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace
{

void replay(const std::filesystem::path &file)
{
    std::ifstream in(file, std::ios::binary);
    /* An exact block, so that a read past its end is seen. */
    std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    bytes.shrink_to_fit();
    (void)LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

} // namespace

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        if (!std::filesystem::exists(argv[i])) {
            fprintf(stderr, "%s: no such corpus\n", argv[i]);
            return 1;
        }
        if (!std::filesystem::is_directory(argv[i])) {
            replay(argv[i]);
            n++;
            continue;
        }
        for (const auto &entry : std::filesystem::recursive_directory_iterator(argv[i])) {
            if (entry.is_regular_file()) {
                replay(entry.path());
                n++;
            }
        }
    }
    printf("%zu inputs replayed\n", n);
    return n > 0 ? 0 : 1;
}
