#include "proto/base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace
{

TEST(File, IsReadWholeOrRefusedWithItsName)
{
    char path[] = "/tmp/pb-file-XXXXXX";
    int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    std::string all(10000, 'x');
    ASSERT_EQ(write(fd, all.data(), all.size()), ssize_t(all.size()));
    close(fd);
    buf out;
    buf why;
    buf_init(&out, 1 << 20);
    buf_init(&why, 1000);
    ASSERT_EQ(file_read(path, &out, &why), OK);
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(buf_slice(&out).p), out.len), all);
    EXPECT_EQ(why.len, 0u);
    buf_fini(&out);
    buf_init(&out, 5000);
    EXPECT_EQ(file_read(path, &out, &why), ERR_LIMIT);
    unlink(path);
    buf_reset(&why);
    EXPECT_EQ(file_read(path, &out, nullptr), ERR_IO);
    EXPECT_EQ(file_read(path, &out, &why), ERR_IO);
    EXPECT_NE(std::string(reinterpret_cast<const char *>(buf_slice(&why).p), why.len).find(path), std::string::npos);
    buf_fini(&out);
    buf_fini(&why);
}

} // namespace
