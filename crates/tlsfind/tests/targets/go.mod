module remora.test/targets

go 1.19
