#include "itest.h"
void test_events(void)
{
}
void test_pages(void)
{
}
void test_code(void)
{
}
void test_strings(void)
{
}
void test_atomic(void)
{
}
void test_icr(void)
{
}
